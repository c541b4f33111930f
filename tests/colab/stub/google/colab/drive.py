"""Google Drive as a folder of this machine: STUB_DRIVE names it; without it the person has not
allowed the access.
"""

import os
from pathlib import Path


def mount(path):
    if not os.environ.get("STUB_DRIVE"):
        raise ValueError("mount failed: credential propagation was unsuccessful")
    Path(path).mkdir(parents=True, exist_ok=True)
    place = Path(path) / "MyDrive"
    if not place.exists():
        place.symlink_to(os.environ["STUB_DRIVE"], target_is_directory=True)
