"""Predict any video file that belongs to no data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import arrays, trials
from ..errors import InputError
from ..faces import persons
from ..files import named
from ..media import recordings
from ..speakers import arrays as speakers_arrays
from ..speakers import video
from ..store import Store, request
from . import overlay
from .checkpoint import _recipe, load, open_checkpoint, worth
from .prediction import Predictor, cuts, prediction_table, write_csv


def predict_video(
    path: Path, checkpoint: Path, params, folder: Path, crops_dir: Path | str = ""
) -> tuple:
    """Predict every frame of any video file; everything is written into `folder` and nowhere else.

    Arguments
    ---------
    path : the video. crops_dir : a folder of its cropped faces, ``%05d.jpg`` from 1; "" finds faces
        as ``params.faces`` says. ``params.video_person`` names one of several people
        (`lib.faces.persons`); "" is the one seen longest, "speaker" who is heard most
        (`lib.speakers.video`).
    checkpoint : the network (`checkpoint_path`); a run that builds on a backbone finds it as in
        training.

    Returns (Predictor, prediction table, name); the table is also ``<folder>/<name>.csv``, where
    the name is the video's stem, and ``_<person>`` if one was named. Values are not smoothed: the
    widths belong to the data set that they were chosen on. Raises InputError for a person who is
    not in the video.
    """
    path, folder = Path(path), Path(folder)
    if video.learnt(checkpoint):
        return video.predict_video(path, checkpoint, params, folder)
    info, crops = recordings.probe(path), Path(crops_dir).absolute() if crops_dir else ""
    person = params.get("video_person", "")
    if person == "speaker":
        person = video.choose(path, params, folder)
    stem = trials.usable(path.stem)
    name = f"{stem}_{person}" if person else stem
    row = {
        "trial": name,
        "person": person,
        "video": stem,
        "dataset": "video",
        "split": "test",
        "subject": stem,
        "video_path": path.name,
        "audio_path": path.name if info.audio_codec else "",
        "crops_dir": str(crops),
        "n_frames": info.n_frames,
        "fps": info.fps,
        "duration": info.duration,
    }
    weights_root = params.get("weights_root") or None
    store = Store(
        folder / "arrays",
        "video",
        path.parent,
        "crops" if crops else params.get("faces", "auto"),
        Path(weights_root) if weights_root else None,
    )
    table = trials.table([row])
    trials.write(table, store.trials_path)
    recipe = _recipe(open_checkpoint(checkpoint, params), params, store)
    if recipe.uses_audio and not info.audio_codec:
        raise InputError(
            "this video has no audio track, and the network needs sound",
            where=path,
            todo="predict with a run that was trained with `modality: video`",
        )
    arrays.make_all(
        table.iloc[0].to_dict(), recipe.arrays(), store, params.device
    )  # labels too: all unlabelled
    predictor = load(checkpoint, params, store)
    if person and recipe.uses_video:
        _require_person(predictor, name, person)
    table = prediction_table(predictor, name, predictor.predict(name))
    table = speakers_arrays.with_column(
        table, speakers_arrays.column({**row, "person": person}, params, store, make=True)
    )
    table = overlay.with_boxes(table, trials.read(store.trials_path).iloc[0].to_dict(), store)
    crossed = cuts(predictor.recipe, name)
    table["note"] = "; ".join(filter(None, [worth(checkpoint).replace("\n", "; "), crossed]))
    write_csv(named(folder, name, ".csv"), table)
    return predictor, table, name


def _require_person(predictor: Predictor, trial: str, person: str) -> None:
    if not np.any(predictor.recipe.read(trial, request("face_valid"))):
        raise InputError(
            f"no person called {person} was found",
            where=f"video {trial}",
            expected=who(predictor, trial),
            todo="correct video_person, or leave it empty",
        )


def who(predictor: Predictor, trial: str) -> str:
    """A sentence about whose face was looked at in a video, and who else is there."""
    if isinstance(predictor, video.Speakers):
        return video.summary(predictor.values)
    row = (
        trials.read(predictor.recipe.store.trials_path)
        .set_index("trial", drop=False)
        .loc[trial]
        .to_dict()
    )
    place = predictor.recipe.store
    if not predictor.recipe.uses_video:
        return "the network only listens: no face was looked for"
    face = arrays.locate(row, request("face_valid"), place)
    if face.request.parameters.get("faces") != "detect":
        return face.note or "faces: " + (
            "the crops given" if row["crops_dir"] else "the centre of the picture"
        )
    found = persons.find(np.asarray(arrays.read(row, request("tracks"), place)))
    if not found:
        return "nobody was found in this video: all frames count as missing"
    chosen = f"; the values are of: {row['person'] or found[0].name or 'the only one'}"
    listed = ", ".join(
        f"{person.name or 'one person'} ({person.n_frames} frames)" for person in found
    )
    return f"{len(found)} found: {listed}{chosen}"
