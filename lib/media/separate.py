"""The sound file of a separate recorder: one that lies beside a video and bears its name."""

from __future__ import annotations

from pathlib import Path

from ..files import folded

SUFFIXES = (
    ".wav",
    ".wave",
    ".flac",
    ".mp3",
    ".m4a",
    ".aac",
    ".oga",
    ".opus",
    ".wma",
    ".aif",
    ".aiff",
    ".w64",
    ".caf",
    ".mka",
)
PARAMETER = "separate_sound"  # that says whether it is heard instead of the video's own sound


def beside(video: Path) -> Path | None:
    """The sound file of a video's name in its folder, the first one by `SUFFIXES`; None where there
    is none. Capitals and the two spellings of Unicode do not matter.
    """
    video, name = Path(video), folded(Path(video).stem)
    beside_it = sorted(video.parent.iterdir()) if video.parent.is_dir() else []
    sounds = [path for path in beside_it if path.suffix.lower() in SUFFIXES]
    files = [path for path in sounds if folded(path.stem) == name and path.is_file()]
    return min(files, key=lambda path: SUFFIXES.index(path.suffix.lower()), default=None)


def heard(video: Path, codec: str, take: bool) -> Path | None:
    """The file whose sound is heard: with `take` the one beside a video, else the video itself;
    None where there is no sound. codec : of the video's own sound, "" for none.
    """
    other = beside(video) if take else None
    return other or (Path(video) if codec else None)
