"""Files beside the repository (real recordings, detector weights), for tests that can do without
them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(name: str) -> Path:
    """Path of ``../shared/<name>``; where it is absent the test is skipped, or fails with
    CI=true.
    """
    path = SHARED / name
    if not path.exists():
        reason = f"{path} is not there"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{reason}, and CI must have it")
        pytest.skip(reason)
    return path
