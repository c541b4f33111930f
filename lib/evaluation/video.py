"""Predict a video file that belongs to no data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import arrays, trials
from ..errors import InputError
from ..faces import persons
from ..files import named
from ..media import recordings, separate
from ..speakers import arrays as speakers_arrays
from ..speakers.video import video_row, video_store
from ..store import request
from . import overlay
from .checkpoint import load, open_checkpoint, recipe_of, worth
from .prediction import Predictor, about_faces, prediction_table
from .predictions import write_csv


def predict_video(
    path: Path, checkpoint: Path, params, folder: Path, crops_dir: Path | str = "", person: str = ""
) -> tuple:
    """Predict every frame of any video file; everything is written into `folder` and nowhere else.

    Arguments
    ---------
    path : the video. crops_dir : a folder of its cropped faces, ``%05d.jpg`` from 1; "" finds faces
        as ``params.faces`` says.
    person : one of several people (`lib.faces.persons`); "" is the one seen longest.
    checkpoint : the network (`checkpoint_path`); a run's backbone is found as in training.

    Returns (Predictor, prediction table, name); the table is also ``<folder>/<name>.csv``, where
    the name is the video's stem, and ``_<person>`` if one was named. Values are not smoothed,
    because the widths belong to the data set on which they were chosen. Raises InputError for a
    person who is not in the video.
    """
    path, folder = Path(path), Path(folder)
    info, crops = recordings.probe(path), Path(crops_dir).absolute() if crops_dir else ""
    heard = separate.heard(path, info.audio_codec, params.get(separate.PARAMETER, False))
    row = video_row(path, info, heard.name if heard else "")
    name = f"{row['video']}_{person}" if person else row["video"]
    row |= {"trial": name, "person": person, "crops_dir": str(crops)}
    choice = {"faces": "crops"} if crops else {}
    store = video_store(path, {**params, **choice}, folder)
    table = trials.table([row])
    trials.write(table, store.trials_path)
    recipe = recipe_of(open_checkpoint(checkpoint, params), params, store)
    if recipe.needs_sound and not heard:
        raise InputError(
            "this video has no audio track, and the network needs sound",
            where=path,
            todo="predict with a run that was trained with `modality: video`",
        )
    # including labels, which are all unlabelled
    arrays.make_all(table.iloc[0].to_dict(), recipe.arrays(), store, params.device)
    predictor = load(checkpoint, params, store)
    if person and recipe.uses_video:
        _require_person(predictor, name, person)
    table = prediction_table(predictor, name, predictor.predict(name))
    table = speakers_arrays.with_column(
        table, speakers_arrays.column(row, params, store, make=True)
    )
    table = overlay.with_boxes(table, trials.read(store.trials_path).iloc[0].to_dict(), store)
    remarks = [worth(checkpoint).replace("\n", "; "), about_faces(predictor.recipe, name)]
    remarks.append(predictor.recipe.remark(name))
    table["note"] = "; ".join(filter(None, remarks))
    write_csv(named(folder, name, ".csv"), table)
    return predictor, table, name


def hearing(path: Path, params) -> dict:
    """The sound of a video, in the form that `overlay.write` takes."""
    codec = recordings.probe(path).audio_codec
    sound = separate.heard(path, codec, params.get(separate.PARAMETER, False))
    other = sound is not None and sound != Path(path)
    moved = separate.placing(path, sound) if other else {}
    return {"sound": sound, "track": params.get("audio_track", 0), "moved": moved}


def _require_person(predictor: Predictor, trial: str, person: str) -> None:
    if not np.any(predictor.recipe.read(trial, request("face_valid"))):
        raise InputError(
            f"no person called {person} was found",
            where=f"video {trial}",
            expected=_who_is_there(predictor, trial),
            todo="correct the person, or leave it out",
        )


def _who_is_there(predictor: Predictor, trial: str) -> str:
    """The people of a video, with the number of frames in which each is seen."""
    recipe = predictor.recipe
    face = arrays.locate(recipe.trial(trial), request("face_valid"), recipe.store)
    if face.request.parameters.get("faces") != "detect":
        return face.note or "nobody by name: faces were not looked for"
    people = persons.find(np.asarray(recipe.read(trial, request("tracks"))))
    listed = ", ".join(
        f"{person.name or 'one person'} ({person.n_frames} frames)" for person in people
    )
    return listed or "nobody: no face was found"
