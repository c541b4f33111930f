"""What the tests of data sets share."""

import numpy as np
import pytest

from lib.media import writing


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """The bytes of a small recording: ten frames without sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    shades = (np.full((32, 32, 3), 20 * k, np.uint8) for k in range(10))
    writing.write_video(path, shades, np.arange(10) / 25)
    return path.read_bytes()
