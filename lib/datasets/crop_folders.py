"""Folders of cropped faces in a data root: the data set's own (of which there may be two), and
those that OpenFace wrote.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..faces import crops, openface
from . import tree
from .report import Report

CROP_FOLDERS = ("cropped_aligned", "cropped", "cropped_aligned_new_50_vids")
OPENFACE_FOLDERS = ("openface", "processed", "cropped_aligned")  # usual output folders of OpenFace


def find(root: Path, report: Report) -> dict[str, Path]:
    """trial -> folder of pictures; the second crop folder adds trials but replaces none."""
    folders = _own(root, report)
    for folder in [root, *tree.named([root], OPENFACE_FOLDERS)]:
        for path in _folders(folder, report, openface=True):
            trial = path.name.removesuffix(crops.OPENFACE)
            try:
                openface.read(crops.csv_of(path))
            except InputError as error:
                report.fault(
                    trial,
                    error,
                    "OpenFace's pictures are left out: nobody knows in which a face was found",
                )
            else:
                folders.setdefault(trial, path)
    return folders


def _own(root: Path, report: Report) -> dict[str, Path]:
    """trial -> folder in the data set's own folders of crops."""
    folders: dict[str, Path] = {}
    for folder in tree.named([root], CROP_FOLDERS):
        for path in _folders(folder, report, openface=False):
            if folders.setdefault(path.name, path) is not path:
                report.warning(
                    path.name,
                    "crops in two folders",
                    "the first ones are used",
                    where=f"{folders[path.name]}, {path}",
                    todo="remove one of them",
                )
            elif not any(path.iterdir()):
                report.warning(
                    path.name,
                    "its folder of cropped faces is empty",
                    "counts as a trial without any face",
                    where=str(path),
                    expected="00001.jpg, 00002.jpg, …",
                    todo="unpack the crops again, or remove the folder: faces are then looked for "
                    "in the video",
                )
    return folders


def _folders(folder: Path, report: Report, openface: bool) -> list[Path]:
    """The subfolders that are OpenFace's, or those that are not."""
    inside = (path for path in tree.inside(folder, report) if path.is_dir())
    return [path for path in inside if is_openface(path) is openface]


def is_openface(folder: Path) -> bool:
    """Whether a folder is OpenFace's: by its name, and at least one picture with a name of
    OpenFace's form.
    """
    return (
        folder.name.endswith(crops.OPENFACE)
        and next(folder.glob("frame_det_00_*"), None) is not None
    )
