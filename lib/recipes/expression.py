"""Seven expressions per frame by a published network; nothing is trained."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..features import expression, expression_arrays
from ..models import networks
from ..models.affect.face_api import CLASSES
from ..store import request
from . import base

TASK = "face_expression"  # task without labels of a data set: its classes are `CLASSES`


class Recipe(base.Recipe):
    """The network `face_api` on each face: probabilities of seven expressions, and valence and
    arousal *derived* from them by a table that was made by hand (`lib.features.expression`).

    Nothing is trained, and nothing is compared with labels: set `predict_run` to the network's
    file. *happy* and *neutral* can be trusted, *disgusted* and *angry* cannot
    (docs/models/face_api.md).
    """

    network = "face_api"
    modalities = ("video",)

    class Options:
        crop: str = "square"  # what is cut out of the picture; one of square, detector, five_points
        temperature: float = 2.0  # above 1 softens the probabilities; from 0.1 to 10.0
        smooth_seconds: float = 0.5  # s to either side that are averaged; from 0.0 to 10.0

    @property
    def tasks(self):
        return ()

    @property
    def uses_audio(self):
        return False

    @property
    def _rows(self):
        return expression_arrays.wanted(self.params.options["crop"], self.store.weights_root)

    def arrays(self):
        shown = request("face", size=self.params.face_size)  # for people
        return [request("time"), request("face_valid"), shown, self._rows]

    def windows(self, trials, epoch=None):
        if epoch is not None:
            raise InputError(
                "this network is not trained here",
                where="recipe expression",
                todo="set `predict_run: weights/face_expression_model-weights_manifest.json`",
            )
        pieces = []
        for trial in trials["trial"]:
            pieces.append((trial, base.columns_of(np.arange(self.n_frames(trial)))))
        return self.window_table(pieces)

    def example(self, window, generator=None):
        return {"features": np.asarray(self.read(window.trial, self._rows)[window.first_target])}

    def sketch(self):
        return None  # nothing is trained; notebook 02 computes the numbers of a face

    def model(self):
        return networks.create(self.network, self.published)

    def loss(self, outputs, batch):
        raise NotImplementedError

    def assemble(self, windows, outputs, n_frames):
        values = np.full((n_frames, len(CLASSES)), np.nan, np.float32)
        values[windows["first_target"].to_numpy()] = outputs["expression"]
        return {TASK: values}

    def columns(self, task, values, times):
        options = self.params.options
        derived = expression.derived(
            values, times, options["temperature"], options["smooth_seconds"]
        )
        return expression.columns(derived)
