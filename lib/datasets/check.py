"""Check every trial of a data set before anything is computed: whether it opens, and whether its
parts are consistent.

One row per trial. An *error* is unreadable or self-contradictory, a *warning* lacks a counterpart.
The decoded time stamps are stored for notebook 02.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays
from ..errors import InputError
from ..faces import crops, openface, tsav
from ..labels import arrays as labels_arrays
from ..labels import lfan_rows, official, tables
from ..media import readings, recordings, separate
from ..media.containers import MAX_ASPECT
from ..media.frames import spacing
from ..models import weights
from ..store import Store, request
from ..trials import in_people_order, label_files
from . import tree
from .report import Report, traceback_of

UNEVEN = 0.2  # share of a frame; rounding time stamps to 1/1000 s moves them by less
# label rows too many or too few that are tolerated: decoders differ so much (LFAN, §1.11)
TOLERANCE_FRAMES = 2
RATES = (10.0, 61.0)  # frames/s of cameras and of the published data sets
LATE_SECONDS = 0.5  # s between starts or ends of sound and picture that a person should check
EARLY = 1.5  # s; the last picture may be shown longer than others, but not this long
RANGE_KEY = "label_range"  # key in a checked trial: lowest and highest label of valence and arousal
COLUMNS = (
    "trial",
    "errors",
    "warnings",
    "split",
    "opens",
    "video",
    "audio",
    "width",
    "height",
    "pixel_aspect",
    "turned",
    "fps",
    "rate",
    "frames",
    "container",
    "labels",
    "crops",
    "audio_rate",
    "audio_late_ms",
    "longer_ms",
)
# Columns that notebook 01 shows: whether it opens, and the numbers of pictures, labels and crops
BRIEF = (*COLUMNS[:4], "frames", "container", "labels", "crops", "rate", "audio_late_ms")


class Faults:
    """Collects what is wrong with one trial."""

    def __init__(self, trial: str):
        self.trial, self.rows = trial, []

    def add(
        self,
        severity: str,
        what: str,
        done: str = "",
        where: object = "",
        expected: str = "",
        todo: str = "",
        traceback: str = "",
    ):
        self.rows.append(
            {
                "severity": severity,
                "item": self.trial,
                "what": what,
                "done": done,
                "where": str(where),
                "expected": expected,
                "todo": todo,
                "traceback": traceback,
            }
        )

    def attempt(self, function, *given, done: str = "its trial will be lost in 02–04"):
        """The function's value; None, and a row, if it raises InputError."""
        try:
            return function(*given)
        except InputError as error:
            self.add(
                "error",
                error.what,
                done,
                error.where,
                error.expected,
                error.todo,
                traceback_of(error),
            )
            return None


def check_trial(trial: Mapping, store: Store) -> dict:
    """One row of `COLUMNS`, and `faults`. Never raises for a damaged file."""
    faults = Faults(trial["trial"])
    path = store.data_root / (trial["video_path"] or trial["audio_path"])
    row = dict.fromkeys(COLUMNS, "") | {
        "trial": trial["trial"],
        "split": trial["split"],
        "opens": False,
    }
    info = faults.attempt(recordings.probe, path, done="left out")
    times = faults.attempt(_times, trial, store, done="left out")
    if info:
        row |= _container(info)
    for note in faults.attempt(readings.notes, trial, store) or ():
        faults.add("warning", note, "read so", path, todo="look and listen whether it is right so")
    if info and times is not None:
        heard = _heard(trial, store, info, faults)
        row |= {
            "frames": len(times),
            **_rate(times, path, faults),
            **_sound(trial, heard, times, faults),
            **_ends_early(trial, store, info, times, faults),
        }
        for file in dict.fromkeys((info.path, heard.path)):
            _whole(file, faults)
        _length(info, times, faults)
        _odd_pictures(info, faults)
    spans: list[tuple[float, float]] = []
    row |= {
        "labels": _labels(trial, store, times, faults, spans),
        "crops": _crops(trial, store, times, faults),
    }
    for severity in ("error", "warning"):
        row[f"{severity}s"] = "; ".join(
            fault["what"] for fault in faults.rows if fault["severity"] == severity
        )
    span = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None
    return row | {"faults": faults.rows, RANGE_KEY: span}


def _container(info: recordings.Info) -> dict:
    """The columns that follow from the container alone."""
    return {
        "opens": True,
        "video": info.video_codec,
        "audio": info.audio_codec,
        "width": info.width,
        "height": info.height,
        "pixel_aspect": f"{info.pixel_aspect:.3f}" if info.pixel_aspect != 1 else "",
        "turned": info.display or (f"{info.rotation}°" if info.rotation else ""),
        "fps": round(info.fps, 3),
        "container": info.n_frames or "",
    }


def _whole(path: str, faults: Faults) -> None:
    """Check whether a file has all bytes, or seconds, that its index or header names."""
    missing, seconds = recordings.missing_bytes(path), recordings.missing_seconds(path)
    if missing or seconds:
        amount = f"{missing} bytes" if missing else f"{seconds:.2f} s"
        faults.add(
            "error",
            f"cut off: the last {amount} that its index or header names are not there",
            "what decodes counts",
            path,
            "the whole file",
            "copy or download it again",
        )


def _length(info: recordings.Info, times: np.ndarray, faults: Faults) -> None:
    """Check whether the picture lasts as long as the container claims."""
    if info.n_frames not in (0, len(times)):
        faults.add(
            "warning",
            f"the container claims {info.n_frames} frames, {len(times)} decode",
            "what decodes counts",
            info.path,
            "as many",
            "nothing if it plays to its end; else copy it again",
        )
    elif _left(info, times) > EARLY:
        faults.add(
            "warning",
            f"the container claims {info.duration:.1f} s, the picture ends after "
            f"{times[-1] - info.video_start:.1f} s",
            "what decodes counts",
            info.path,
            "a picture to the end",
            "play its end: if something is missing, copy or download it again",
        )


def _left(info: recordings.Info, times: np.ndarray) -> float:
    """s after the last picture that a container claims. Some formats (NUT) count their length from
    0 of their own clock, even if that begins later.
    """
    left = info.duration - (times[-1] - info.video_start)
    return min(left, abs(left - info.origin)) if info.origin > 0 else left


def _odd_pictures(info: recordings.Info, faults: Faults) -> None:
    """Warn of a picture that is rotated, stretched or unevenly timed."""
    odd = [
        (
            info.rotation % 90 or abs(info.rotation) > 360,
            f"the container asks to turn the picture by {info.rotation}°",
            "turned by the nearest quarter, or not at all beyond a full turn",
            "0, 90, 180 or 270",
            "look at the faces in 02; ffmpeg -i OLD NEW.mp4 writes it upright",
        ),
        (
            not 1 / MAX_ASPECT <= info.pixel_aspect <= MAX_ASPECT,
            f"the file says that its pixels are {info.pixel_aspect:.3g} times as wide as high",
            "taken as square",
            f"{1 / MAX_ASPECT:g} to {MAX_ASPECT:g}",
            "look at the faces in 02; "
            "ffmpeg -i OLD -vf setsar=1 NEW.mp4 writes it with square pixels",
        ),
        (
            info.fps and not RATES[0] <= info.fps <= RATES[1],
            f"an unusual frame rate, {info.fps:.3g} frames per second",
            "kept: windows count frames",
            f"{RATES[0]:g} to {RATES[1]:g}",
            "if it is not meant: ffmpeg -i OLD -r 30 NEW.mp4",
        ),
        (
            info.others,
            f"{len(info.others) + 1} tracks of pictures; others are {', '.join(info.others)}",
            f"the first one ({info.width}×{info.height}) is looked at, no other one",
            "one",
            "to take another one: ffmpeg -i OLD -map 0:v:1 -map 0:a? -c copy NEW.mkv",
        ),
    ]
    for is_odd, what, done, expected, todo in odd:
        if is_odd:
            faults.add("warning", what, done, info.path, expected, todo)


def _times(trial: Mapping, store: Store) -> np.ndarray:
    time_request = request("time")
    arrays.make(trial, time_request, store)
    return np.asarray(arrays.read(trial, time_request, store))


def _rate(times: np.ndarray, path: Path, faults: Faults) -> dict:
    steps = np.diff(times)
    if not len(steps):
        faults.add(
            "warning",
            f"only {len(times)} frame",
            "kept",
            path,
            "a recording",
            "leave it out, or copy it again",
        )
        return {"rate": ""}
    if (back := np.flatnonzero(steps <= 0)).size:
        faults.add(
            "error",
            f"time stamps stand still or go back at frame {back[0] + 2} ({back.size} times)",
            "kept",
            path,
            "times that increase",
            "re-encode it: ffmpeg -i OLD -fps_mode passthrough NEW.mp4",
        )
    if np.ptp(steps) <= UNEVEN * np.median(steps):
        return {"rate": "constant"}
    return {"rate": f"variable, {1000 * steps.min():.0f}–{1000 * steps.max():.0f} ms"}


def _heard(trial: Mapping, store: Store, info: recordings.Info, faults: Faults) -> recordings.Info:
    """Check the file whose sound is used: the video, or a separate recorder's."""
    if trial["audio_path"] in ("", trial["video_path"]):
        return info
    path = store.data_root / trial["audio_path"]
    other = faults.attempt(recordings.probe, path, done="no sound")
    moved: dict = {}
    with contextlib.suppress(InputError):  # reported by `readings.notes`
        moved = readings.of_recorder(trial, store)
    return replace(other, audio_start=other.audio_start + moved.get("offset", 0)) if other else info


def _sound(trial: Mapping, info: recordings.Info, times: np.ndarray, faults: Faults) -> dict:
    if not trial["audio_path"]:
        if not separate.beside(info.path):  # otherwise `recorder` says how to use that file
            faults.add(
                "warning",
                "no audio track",
                "usable with modality: video only",
                info.path,
                "a recording with sound",
                "nothing for networks that only see; else put its sound beside it as "
                f"{Path(info.path).stem}.wav with `{separate.PARAMETER}: true`, or leave it out",
            )
        return {}
    late = info.audio_start - times[0]
    row = {"audio_rate": info.audio_rate, "audio_late_ms": round(1000 * late)}
    separately = trial["audio_path"] != trial["video_path"]  # its start is reported by `notes`
    if abs(late) > LATE_SECONDS and not separately:
        faults.add(
            "warning",
            f"the sound starts {late:+.2f} s after the picture",
            "kept on its own clock",
            info.path,
            "together",
            "watch the lips: if they are out of step, re-encode the file",
        )
    if info.audio_duration:
        last_shown = spacing(times)
        longer = info.audio_start + info.audio_duration - times[-1] - last_shown
        row["longer_ms"] = round(1000 * longer)
        if abs(longer) > LATE_SECONDS:
            faults.add(
                "warning",
                f"the sound ends {longer:+.2f} s after the picture",
                "silence where it is missing",
                info.path,
                "together",
                "play its end: if something is missing, copy or download it again",
            )
    return row


def _ends_early(
    trial: Mapping, store: Store, info: recordings.Info, times: np.ndarray, faults: Faults
) -> dict:
    """The same for a file that does not tell the length of its sound (Matroska, WebM): found from
    the sound itself, if it is much shorter than the picture.
    """
    in_video = trial["audio_path"] and trial["audio_path"] == trial["video_path"]
    if not in_video or info.audio_duration:
        return {}
    seconds = max((track.seconds for track in readings.heard(trial, store)), default=0.0)
    missing = times[-1] + spacing(times) - info.audio_start - seconds
    if not seconds or missing <= LATE_SECONDS:
        return {}
    faults.add(
        "warning",
        f"{seconds:.2f} s of sound, which ends {missing:.2f} s before the picture or has holes",
        "silence where it is missing",
        info.path,
        "as long",
        "play its end: if something is missing, copy or download it again",
    )
    return {"longer_ms": round(-1000 * missing)}


def _labels(
    trial: Mapping, store: Store, times: np.ndarray | None, faults: Faults, spans: list
) -> str:
    """Check the label files; lowest and highest value of valence and arousal go to `spans`."""
    counts = []
    for kind in official.KINDS:
        files = label_files(trial[f"{kind}_path"])[0]
        if not files or (times is None and (len(files) > 1 or not files[0].endswith(".txt"))):
            continue  # such a file needs the frames of its video, which does not decode
        path = store.data_root / files[0]
        if len(files) > 1 or faults.attempt(tables.form, path) != "official":
            if times is None:
                continue
            paths = [store.data_root / file for file in files]
            counts += _table(trial, kind, paths, store, times, faults, spans)
            continue
        n_frames = None if times is None else len(times)
        rows = faults.attempt(labels_arrays.read_annotation, path, kind, n_frames or 0)
        if rows is not None:
            _add_span(kind, rows, spans)
            counts.append(f"{kind} {len(rows)}")
            if n_frames is not None and len(rows) != n_frames:
                faults.add(
                    "warning" if abs(len(rows) - n_frames) <= TOLERANCE_FRAMES else "error",
                    f"{kind}: {len(rows)} label rows, {n_frames} frames",
                    "trimmed or filled up as unlabelled",
                    path,
                    "one row per frame",
                    "check that label file and video are of one release",
                )
    return ", ".join(counts)


def _add_span(kind: str, rows: np.ndarray, spans: list) -> None:
    if kind == "va" and np.isfinite(rows).any():
        spans.append((float(np.nanmin(rows)), float(np.nanmax(rows))))


def _table(
    trial: Mapping,
    kind: str,
    paths: list[Path],
    store: Store,
    times: np.ndarray,
    faults: Faults,
    spans: list,
) -> list[str]:
    """Read a person's own label table as notebook 04 will."""
    parameters = labels_arrays.resolve(trial, request(kind), store).parameters
    outcome = faults.attempt(labels_arrays.read, paths, kind, times, parameters)
    if outcome is None:
        return []
    _add_span(kind, outcome[0], spans)
    for note in outcome[2].get(labels_arrays.MENDED, ()):
        faults.add("warning", note, "read so", paths[0], todo="nothing, if that is right")
    return [f"{kind} ({outcome[1]})"]


def _crops(trial: Mapping, store: Store, times: np.ndarray | None, faults: Faults) -> str:
    if not trial["crops_dir"] or times is None:
        return ""
    n_frames = len(times)
    path = store.data_root / trial["crops_dir"]
    if path.suffix == tsav.SUFFIX:
        valid = faults.attempt(tsav.valid_rows, path, n_frames)
        return "" if valid is None else f"{valid.sum()} in the alignment file"
    if path.suffix == lfan_rows.SUFFIX:
        sources = lfan_rows.annotation(trial).values()
        valid = faults.attempt(
            lfan_rows.valid_rows, path, n_frames, *(store.data_root / name for name in sources)
        )
        return "" if valid is None else f"{valid.sum()} in LFAN's {path.name}"
    pictures = faults.attempt(crops.paths, path, n_frames, times)
    if pictures is None:
        return ""
    if table := crops.csv_of(path):
        for note in openface.notes(table, n_frames, spacing(times)):
            faults.add("warning", note, "read so", table, todo="nothing, if that is right")
    _damaged_crops(path, faults)
    return f"{len(pictures)} of {n_frames}"


def _damaged_crops(path: Path, faults: Faults) -> None:
    """Check whether all cropped faces of a folder can be read and have one size."""
    broken, sizes = crops.damage(path)
    if broken:
        faults.add(
            "error",
            f"{len(broken)} cropped faces cannot be read: {', '.join(broken[:3])}",
            "this trial will be lost in 02",
            path,
            "whole pictures",
            "unpack them again, or delete them: their frames then count as faceless",
        )
    if len(sizes) > 1:
        faults.add(
            "warning",
            f"cropped faces of {len(sizes)} sizes: {', '.join(sorted(sizes))}",
            "resized",
            path,
            "one size",
            "look at the odd ones: they may be of another program",
        )


def usable(trial_table: pd.DataFrame, outcomes: list) -> pd.DataFrame:
    """The rows of the trials whose video decodes, with the number of frames that decode instead of
    the container's claim.

    A trial without frames is of no use to any notebook.
    """
    frames = [outcome.value["frames"] if outcome.ok else "" for outcome in outcomes]
    decoded = trial_table.assign(n_frames=[count or 0 for count in frames])
    return decoded[[count != "" for count in frames]].reset_index(drop=True)


def official_rows(trial_table: pd.DataFrame, store: Store) -> list[np.ndarray]:
    """Valence and arousal of every official text file of a table, (n, 2) each."""
    files = [label_files(text)[0] for text in trial_table["va_path"]]
    paths = [store.data_root / names[0] for names in files if len(names) == 1]
    texts = [path for path in paths if path.suffix.lower() == ".txt"]
    return [official.read(path, "va") for path in texts if official.has_header(path, "va")]


def weights_table(weights_root: Path) -> pd.DataFrame:
    """One row per published weights file: whether it exists and is the right one, its licence, its
    source.
    """
    rows = [
        {
            "weights": row["name"],
            "what": row["what"],
            "file": row["file"],
            "state": row["fault"] or ("there" if row["there"] else "absent"),
            "MB": f"{row['mb']:.2f}" if row["mb"] else "not known",
            "SHA-256": row["sha256"],
            "check-sum": row["state"],
            "licence": row["licence"],
            "where to get it": row["source"],
            "direct address": row["address"],
        }
        for row in weights.listing(weights_root)
    ]
    return pd.DataFrame(rows)


# Weights -> parameter and its values for which an experiment needs them.
NEEDED = {
    "face_api": ("recipe", ("expression",)),
    "vggish": ("recipe", ("lfan",)),
    "lfan_backbone": ("recipe", ("lfan", "lfan_backbone")),
    "yunet": ("dataset", ("folder", "ego4d")),
    "light_asd_talkset": ("dataset", ("folder", "ego4d")),
}


def needed(published: pd.DataFrame, values: Mapping) -> pd.DataFrame:
    """The rows of `weights_table` that concern an experiment: existing and damaged files, and the
    absent ones that it needs or names.

    values : its parameters, as far as they are known.
    """
    text = str({name: value for name, value in values.items() if name != "weights_root"})
    kept = []
    for row in published.itertuples():
        parameter, choices = NEEDED.get(row.weights, ("", ()))
        is_needed = values.get(parameter) in choices or row.file in text
        kept.append(row.state != "absent" or is_needed)
    return published[kept]


def table(outcomes: list, report: Report | None = None) -> pd.DataFrame:
    """The rows of `check_trial` from the outcomes of ``mapping.map``, `COLUMNS`; the worst trials
    first.

    report : of the layout; a video that it left out because it does not open is a row, too.
    """
    rows = []
    for outcome in outcomes:
        if outcome.ok:
            rows.append(outcome.value)
        else:
            rows.append({"trial": outcome.item["trial"], "errors": outcome.error.what})
    known = {outcome.item["trial"] for outcome in outcomes}
    known |= {outcome.item["video"] for outcome in outcomes}
    for fault in report.problems if report else []:
        is_video = Path(fault["where"]).suffix.lower() in tree.VIDEO_SUFFIXES
        if fault["severity"] == "error" and is_video and fault["item"] not in known:
            rows.append({"trial": fault["item"], "opens": False, "errors": fault["what"]})
    checked = pd.DataFrame(rows, columns=list(COLUMNS)).astype(object)
    # pandas 2 warns of `fillna`, which makes other types of columns that it has filled
    checked = in_people_order(checked.where(checked.notna(), ""))
    order = 2 * (checked["errors"] != "").astype(int) + (checked["warnings"] != "").astype(int)
    return checked.iloc[np.argsort(-order, kind="stable")].reset_index(drop=True)


def brief(checked: pd.DataFrame, rows: int = 12) -> pd.DataFrame:
    """The first, worst rows of `table`, with the columns of `BRIEF` that are not empty."""
    first = checked[list(BRIEF)].head(rows)
    columns = [
        name for name in first if name in ("errors", "warnings") or (first[name] != "").any()
    ]
    return first[columns]


def tell(outcomes: list, report: Report) -> None:
    """Add the findings in the trials to the report of the layout, without repeating any, and the
    range of all labels, which a person should check if none is below 0.
    """
    _tell_range(outcomes, report)
    known = {(row["item"], row["what"]) for row in report.problems}
    for outcome in outcomes:
        if not outcome.ok:
            report.fault(outcome.item["trial"], outcome.error, "left out")
            continue
        for fault in outcome.value["faults"]:
            if (fault["item"], fault["what"]) not in known:
                report.problems.append(fault)


def _tell_range(outcomes: list, report: Report) -> None:
    """Warn if all labels lie in 0…1: that is only half of a scale from −1 to 1."""
    ranges = [outcome.value.get(RANGE_KEY) for outcome in outcomes if outcome.ok]
    known = np.array([span for span in ranges if span], np.float64).reshape(-1, 2)
    if not len(known):
        return
    low, high = known[:, 0].min(), known[:, 1].max()
    is_half = low >= 0 and high > 0
    report.counts.append(
        {
            "item": f"labels from {low:g} to {high:g}",
            "found": len(known),
            "expected": float("nan"),
            "state": "all in 0…1" if is_half else "ok",
            "releases": "",
        }
    )
    if is_half:
        report.warning(
            "labels",
            f"all values of valence and arousal lie in {low:g} … {high:g}",
            "taken as they are",
            expected="values below 0, too, on a scale from −1 to 1",
            todo="of a scale from 0 to 1 set `label_range: [0, 1]`, which maps it to −1…1",
        )
