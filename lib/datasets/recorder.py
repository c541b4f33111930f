"""Sound of a separate recorder: found by its name, and used if a parameter says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..media.separate import PARAMETER, beside
from .inventory import UNUSED_PREFIX
from .report import Report

NO_AUDIO = "no audio track"  # by `affwild2.probe`, of a video whose sound may lie beside it


def take(
    table: pd.DataFrame, root: Path, report: Report, heard: bool
) -> tuple[pd.DataFrame, Report]:
    """Look for a sound file of the same name beside every video of a trial table.

    heard : whether it replaces the video's own sound. Found files are reported either way. When it
    is used, its offset is found by the camera's own sound (`separate.placing`).
    """
    table = table.copy()
    for video, rows in table.groupby("video_path", sort=False):
        other = beside(root / video) if (root / video).is_file() else None
        if other is None:
            continue
        has_sound = (rows["audio_path"] == video).any()
        path = other.relative_to(root).as_posix()
        name = rows["video"].iloc[0]
        _say_once(report, name, path, str(other), heard)
        (_taken if heard else _offered)(report, name, other, has_sound)
        if heard:
            table.loc[rows.index, "audio_path"] = path
    return table, report


def _say_once(report: Report, video: str, path: str, where: str, heard: bool) -> None:
    """Replace the separate messages on the silent video and the sound file by one, and note in the
    inventory what the file is used as.
    """
    report.problems[:] = [
        row
        for row in report.problems
        if (row["item"], row["what"]) != (video, NO_AUDIO)
        and not (row["where"] == where and row["what"].startswith(UNUSED_PREFIX))
    ]
    for row in report.files:
        if row["file"] == path:
            use = f"sound of recording {video}" if heard else row["what"]
            why = "" if heard else f"`{PARAMETER}: true` hears it instead of the video's own sound"
            row.update(what=use, why=why, right="")


def _offered(report: Report, video: str, path: Path, own: bool) -> None:
    name, left = path.name, "the video's own sound counts" if own else "nothing is heard"
    report.warning(
        video,
        f"{name} lies beside the video, which has {'sound of its own' if own else 'no sound'}",
        f"{name} is not used: {left}",
        where=str(path),
        todo=f"set `{PARAMETER}: true` to hear {name}; otherwise move it away",
    )


def _taken(report: Report, video: str, path: Path, own: bool) -> None:
    name = path.name
    messages = {
        True: (
            f"{name} is heard instead of the video's own sound, which tells where it belongs",
            "the same voices in both",
            "nothing where the trial's row says where it begins; watch the lips all the same",
        ),
        False: (
            f"{name} is heard from its first sample on: the video has no sound to place it by",
            "a sound file that begins when the video begins",
            "watch the lips: if they are out of step, cut the sound file",
        ),
    }
    done, expected, todo = messages[bool(own)]
    what = f"{name} lies beside the video"
    report.warning(video, what, done, where=str(path), expected=expected, todo=todo)
