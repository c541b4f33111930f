"""The picture as a player shows it: all eight display matrices, against FFmpeg's own filters."""

import numpy as np
import pytest

from lib.media import orientation, recordings
from tests.films import ONE, X264, encode, turned

# a, b, c, d of the matrix -> FFmpeg's filters that do the same to a stored picture, and whether it
# is a mere turn. The matrix maps (p, q), q downwards, to (a·p + c·q, b·p + d·q).
MATRICES = {
    (1, 0, 0, 1): [],
    (-1, 0, 0, -1): ["hflip", "vflip"],
    (0, 1, -1, 0): ["transpose=clock"],
    (0, -1, 1, 0): ["transpose=cclock"],
    (-1, 0, 0, 1): ["hflip"],
    (1, 0, 0, -1): ["vflip"],
    (0, 1, 1, 0): ["transpose=cclock_flip"],
    (0, -1, -1, 0): ["transpose=clock_flip"],
}
NAMES = ["", "", "", "", "mirrored", "flipped", "transposed", "transposed the other way"]


def corners():
    """A picture whose four quarters differ, 48 high and 64 wide."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:] = (220, 20, 20), (20, 220, 20)
    picture[24:, :32], picture[24:, 32:] = (20, 20, 220), (235, 235, 235)
    return picture


def filtered(picture, filters):
    """What FFmpeg's filters of these names make of a picture."""
    import av

    graph, frame = av.filter.Graph(), av.VideoFrame.from_ndarray(picture, format="rgb24")
    steps = [graph.add_buffer(width=64, height=48, format=frame.format, time_base="1/25")]
    steps += [graph.add(*(name.split("=") if "=" in name else (name,))) for name in filters]
    steps.append(graph.add("buffersink"))
    graph.link_nodes(*steps).configure()
    graph.push(frame)
    return graph.pull().to_ndarray(format="rgb24")


def film(path, matrix, scale=ONE):
    a, b, c, d = (scale * number for number in matrix)
    stored = encode(path, [corners()] * 2, "libx264", "yuv420p", options=X264)
    return turned(stored, (a, b, 0, c, d, 0, 0, 0, 1 << 30))


@pytest.mark.parametrize(("matrix", "name"), [*zip(MATRICES, NAMES, strict=True)])
@pytest.mark.parametrize("scale", [ONE, 3 * ONE])
def test_every_display_matrix_is_shown_as_ffmpeg_does(tmp_path, matrix, name, scale):
    path = film(tmp_path / "a.mp4", matrix, scale)
    stored = next(recordings.frames(path, rotate=False))[1]
    assert np.array_equal(next(recordings.frames(path))[1], filtered(stored, MATRICES[matrix]))
    assert recordings.probe(path).display == name


def test_a_matrix_that_hardly_leans_is_a_plain_one():
    leaning = np.array([-0.9999, 0.01, 0, 0.01, 0.9999, 0, 0, 0, 1])
    assert orientation._plain(leaning).name == "mirrored"


@pytest.mark.parametrize(
    "matrix", [np.zeros(9), -np.ones(9), np.array([1, 1, 0, -1, 1, 0, 0, 0, 1])]
)
def test_what_is_no_quarter_turn_is_not_plain(matrix):
    assert orientation._plain(np.asarray(matrix, float)) is None
