"""A person's own recording, in JupyterLab, Colab or headless: choose it, look at it, keep the
table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

from .. import files, plots, runs, trials
from ..errors import InputError
from ..evaluation import overlay, people, segments
from ..evaluation import video as evaluation_video
from ..media import kinds, recordings
from ..parallel.progress import Progress, has_front_end, is_colab
from ..plots import viewer

# Columns of the table that the notebook shows; the file has all.
SHOWN = ("frame", "time", "person", "valid", "expression", "valence_derived", "arousal_derived")
SHOWN = (*SHOWN, "speaking", "valence", "arousal")
NO_VOICE_NETWORK = (
    "voice: no network is named that reads it; to have one:\n"
    "python -m lib run params/ravdess.yaml, then set voice_run to ravdess"
)
ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}")  # of a file's name; of an address it may be anything
NONE_YET = "no recording yet: drag a file into the folder of this notebook, or upload one"


def start(p: Mapping, say: Callable[[str], object]) -> None:
    """Show the recording in `video_path`, or all of a folder; if it is empty, a list of recordings
    to choose from and an upload.

    p : checked parameters of notebook ``your_video``. say : called with each sentence. Raises
        InputError for a path without a recording, and for a network that cannot be used.
    """
    segments.check(p.get("segments_path", ""))
    people.check(p)
    for line in people.fetch(p):
        say(line)
    if not p.get("voice_run", ""):
        say(NO_VOICE_NETWORK)
    if p["video_path"]:
        _show_all(recordings_in(p["video_path"]), p, say)
    elif is_colab():
        videos = uploaded(_of_colab(), p["videos_path"])
        if not videos:
            say("nothing was uploaded: run this cell again, or set video_path")
        _show_all(videos, p, say)
    elif has_front_end():
        _display(chooser(p, lambda video: show(video, p, say), say))
    else:
        say(f"video_path is empty: {NONE_YET}")


def _show_all(videos: list[Path], p: Mapping, say: Callable[[str], object]) -> None:
    """`show` for each recording; one that fails does not stop the others and is named at the
    end.
    """
    lost: list[tuple[Path, InputError]] = []
    for video in videos:
        try:
            show(video, p, say)
        except InputError as error:
            lost.append((video, error))
            say(f"{video.name}: {error}")
    if lost and len(videos) == 1:
        raise lost[0][1]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(videos)} recordings could not be looked at",
            where=", ".join(str(video) for video, _ in lost),
            todo="see what stands above for each; the others are done",
        )


def recordings_in(path: Path) -> list[Path]:
    """The recording, or all in a folder, including those that cannot be opened: `show` says why.
    Raises InputError if there is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    videos = _videos([path])
    if not videos:
        raise InputError(
            "no recording is here",
            where=path,
            expected="a video, or a folder with videos",
            todo="correct video_path",
        )
    return videos


def listing(folders: list[Path]) -> list[Path]:
    """Recordings with pictures in these folders that can be opened, sorted by name."""
    return [path for path in _videos(folders) if _opens(path)]


def _videos(folders: list[Path]) -> list[Path]:
    """Files that are meant as recordings (`lib.media.kinds`), damaged ones too, in the order in
    which people count.
    """
    entries = chain.from_iterable(folder.iterdir() for folder in folders if folder.is_dir())
    paths = {path.resolve(): path for path in entries}
    videos = (path for path in paths.values() if path.is_file() and _is_video(path))
    return sorted(videos, key=lambda path: (trials.counted(path.name), path))


def _is_video(path: Path) -> bool:
    try:
        return kinds.kind(path) == "video"
    except OSError:  # unreadable
        return False


def _opens(path: Path) -> bool:
    try:
        return recordings.probe(path).n_frames >= 0
    except InputError:
        return False


def folder_of(video: Path, p: Mapping) -> Path:
    """Where everything of a recording is written: ``<run>/videos/<name>/``."""
    run = runs.Run(Path(p["runs_root"]) / (p["run"] or files.YOUR_VIDEO))
    return runs.folder_of_video(run, video)


def show(video: Path, p: Mapping, say: Callable[[str], object]) -> people.People:
    """Analyse a recording and show the result: in words, as curves, as a video, with a link to the
    table.
    """
    folder = folder_of(video, p)
    result = people.look(video, p, folder)
    say(f"{video.name}\n{people.summary(result)}\n{result.note}")
    stretches = _stretches(result, p, folder, say)
    target = files.named(folder, video.stem, ".mp4")
    drawn, heard = Progress("frames drawn"), evaluation_video.hearing(video, p)
    overlay.write(video, result.table, target, result.note, drawn, **heard)
    _display(viewer.video(target), *_curves(result, files.named(folder, video.stem, ".png")))
    say(f"all of it lies in {files.short(folder)}")
    _display(*map(viewer.link, (*result.files, *stretches, target)))
    return result


def _stretches(result: people.People, p: Mapping, folder: Path, say: Callable) -> list[Path]:
    """The file of statistics per stretch, if `segments_path` names stretches of this video."""
    if not p.get("segments_path", ""):
        return []
    alone = not Path(p["video_path"]).is_dir()
    path, name = p.get("segments_path", ""), result.video.stem
    file, said = segments.of_video(path, name, result.table, folder, alone)
    for sentence in said:
        say(sentence)
    return [file] if file else []


def _curves(result: people.People, target: Path) -> tuple:
    """Show the curves, which are also saved as a picture, and the first rows of the table; nothing
    if nobody is seen.
    """
    if result.table.empty:
        return ()
    with plots.unseen():
        plots.save(plots.of_video(result.table, note=result.note), target)
    shown = result.table[[name for name in SHOWN if name in result.table]].head()
    return viewer.image(target), viewer.table(shown)


def _display(*things: object) -> None:
    from IPython.display import display

    display(*things)


# ---- choosing
def chooser(p: Mapping, chosen: Callable[[Path], object], say: Callable[[str], object]):
    """The ipywidgets box: a list of the recordings at hand, an upload, and what was found below.

    chosen : called with the recording's path when a person presses *look*.
    """
    import ipywidgets

    folders = [Path(p["videos_path"]), Path.cwd()]
    names = ipywidgets.Dropdown(description="recording", layout={"width": "40em"})
    upload = ipywidgets.FileUpload(accept="video/*", multiple=True)
    look = ipywidgets.Button(description="look", button_style="primary")
    again, below = ipywidgets.Button(description="list again"), ipywidgets.Output()

    def refresh(_=None, first: Path | None = None):
        videos, choice = listing(folders), first or names.value
        # In one message: between two messages the page would undo a person's choice.
        with names.hold_sync():
            names.options = [(path.name, path) for path in videos] or [(NONE_YET, None)]
            if choice in videos:
                names.value = choice

    def take(change):
        with below:
            usable = _usable(uploaded(contents_of(change["new"]), folders[0]), say)
        if usable:
            refresh(first=usable[0])

    def run(_):
        below.clear_output()
        with below:
            if names.value is None:
                say(NONE_YET)
            else:
                chosen(names.value)

    upload.observe(take, names="value")
    again.on_click(refresh)
    look.on_click(run)
    refresh()
    return ipywidgets.VBox([ipywidgets.HBox([names, look, again, upload]), below])


def _usable(paths: list[Path], say: Callable[[str], object]) -> list[Path]:
    """Those of these files that are recordings; of the others each is said."""
    usable = [path for path in paths if _is_video(path) and _opens(path)]
    for path in (path for path in paths if path not in usable):
        say(f"{path.name} is no recording that can be opened: it is not in the list")
    return usable


def contents_of(value: object) -> dict[str, bytes]:
    """Name -> content of the files in a FileUpload, whose form differs between ipywidgets 7 and
    8.
    """
    if isinstance(value, Mapping):
        return {name: bytes(upload["content"]) for name, upload in value.items()}
    contents: dict[str, bytes] = {}
    for upload in value:
        name, number = upload["name"], 1
        while contents.get(name, upload["content"]) != upload["content"]:  # two files of one name
            number += 1
            name = _numbered(upload["name"], number)
        contents[name] = bytes(upload["content"])
    return contents


def _numbered(name: str, number: int) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{number}{dot}{ending}" if stem else f"{name}-{number}"


def _of_colab() -> dict[str, bytes]:
    from google.colab import files as colab_files

    return dict(colab_files.upload())


def uploaded(contents: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write uploaded files into a folder, under their own names (`files.safe_name`); returns the
    paths. A file of that name that is there already and differs is kept: the new one gets a number.
    """
    written = []
    for name, content in contents.items():
        last = Path(name.replace("\\", "/")).name or "upload"
        ending = Path(last).suffix if ENDING.fullmatch(Path(last).suffix) else ""
        stem, number = last.removesuffix(ending) if ending else last, 1
        target = files.named(folder, stem, ending)
        while target.is_file() and target.read_bytes() != content:
            number += 1
            target = files.named(folder, f"{stem}-{number}", ending)
        written.append(files.write_bytes(target, content))
    return written
