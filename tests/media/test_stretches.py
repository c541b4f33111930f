"""Where long recordings are cut: at the same frames always."""

from itertools import pairwise

import numpy as np
import pytest

from lib.media import readings, recordings, stretches
from lib.store import Store
from tests import films

STRETCH = Store("p", "d", "r").stretch


@pytest.mark.parametrize(("seconds", "rate"), [(1200.0, 25), (1199.9, 59.94), (3.0, 30), (0.0, 0)])
def test_a_recording_of_twenty_minutes_is_not_cut(seconds, rate):
    assert stretches.starts(seconds, round(seconds * rate), STRETCH) == [0]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_a_header_without_a_length_cuts_nothing(seconds):
    assert stretches.starts(seconds, 100, STRETCH) == [0]
    assert stretches.starts(36_000.0, 0, STRETCH) == [0]


@pytest.mark.parametrize("rate", [23.976, 25, 30000 / 1001, 59.94, 120])
@pytest.mark.parametrize("minutes", [20.001, 21, 29.9, 30, 61, 600])
def test_stretches_are_equal_and_of_ten_minutes_at_most(minutes, rate):
    frames = round(60 * minutes * rate)
    firsts = stretches.starts(60 * minutes, frames, STRETCH)
    sizes = [stop - first for first, stop in zip(firsts, [*firsts[1:], frames], strict=True)]
    assert len(firsts) == -(-minutes // 10)
    assert len(set(sizes[:-1])) == 1
    assert 0 < sizes[-1] <= sizes[0] <= STRETCH * rate + stretches.ROUND
    assert all(first % stretches.ROUND == 0 for first in firsts), "on detections, of 1 to 6 frames"


def test_a_header_that_claims_a_century_makes_no_million_stretches():
    assert len(stretches.starts(3e9, 10**11, STRETCH)) <= stretches.MOST


def test_pieces_cover_all_frames_once_and_see_their_neighbours():
    found = stretches.pieces([0, 600, 1200], 1500)
    assert [(piece.first, piece.stop) for piece in found] == [(0, 600), (600, 1200), (1200, 1500)]
    lead = stretches.LEAD
    seen = [(piece.begin, piece.end) for piece in found]
    assert seen == [(0, 601), (600 - lead, 1201), (1200 - lead, 1500)]
    assert [(one.alone.begin, one.alone.end, one.alone.lead) for one in found][1] == (
        600,
        1200,
        lead,
    )


def test_frames_that_a_header_promised_and_that_do_not_come_are_no_rows():
    found = stretches.pieces([0, 600, 1200, 1800], 1100)
    assert [(piece.first, piece.stop) for piece in found] == [
        (0, 600),
        (600, 1100),
        (1100, 1100),
        (1100, 1100),
    ]
    assert found[1].end == 1100


def test_frames_that_a_header_did_not_promise_are_of_the_last_stretch():
    assert stretches.pieces([0, 600], 2000)[-1].stop == 2000


def test_people_are_told_in_how_many_stretches_faces_are_followed():
    told = readings.words({"stretches": [0, 12600, 25200]})
    assert told == "a long recording: faces are followed in 3 stretches"


def without_length(path):
    """A Matroska file as a browser's recorder leaves it: its element Duration is a void one."""
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88")  # Duration, of 8 bytes
    path.write_bytes(content[:at] + b"\xec\x89\x00" + content[at + 3 :])
    return path


def test_the_length_of_a_browsers_recording_is_that_of_its_packets(tmp_path):
    path = films.recorded(tmp_path / "a.mkv", n=50)
    assert recordings.length(recordings.probe(path)) == (pytest.approx(2.0, abs=0.05), 50)
    assert recordings.probe(without_length(path)).duration == 0
    assert recordings.length(recordings.probe(path)) == (pytest.approx(1.96, abs=0.01), 50)


def test_a_stream_without_stamps_has_no_length(tmp_path):
    path = films.recorded(tmp_path / "a.h264", n=50)
    assert stretches.starts(*recordings.length(recordings.probe(path)), 0.5) == [0]


@pytest.mark.parametrize("batch", [1, 4, 7])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_shares_of_stretches_have_the_batches_of_one_pass(batch, density):
    count = 200
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chosen = np.flatnonzero(rng.random(count) < density)
        firsts = [0, *np.sort(rng.integers(1, count + 40, 4)).tolist(), None]  # a wrong header
        shares = [stretches.share(slice(*own), chosen, count, batch) for own in pairwise(firsts)]
        whole = stretches.share(slice(None), chosen, count, batch)
        assert (whole.first, whole.stop, whole.items) == (0, count, slice(0, len(chosen)))
        assert whole.told == {}
        assert stretches.fit([each.told for each in shares])
        begins = [each.items.start for each in shares if each.items.start < each.items.stop]
        assert all(begin % batch == 0 for begin in begins)
        rows = [chosen[each.items] for each in shares]
        assert np.concatenate(rows).tolist() == chosen.tolist()
        for own, each in zip(rows, shares, strict=True):
            assert all(each.first <= row < each.stop for row in own.tolist())


def test_stretches_that_overlap_lack_rows_or_say_nothing_do_not_fit():
    def fits(*rows):
        return stretches.fit([{stretches.ROWS: list(each)} for each in rows])

    assert fits((0, 5, 9), (5, 5, 9), (5, 9, 9))
    assert not fits((0, 5, 9), (4, 9, 9))
    assert not fits((0, 5, 9), (6, 9, 9))
    assert not fits((0, 5, 9), (5, 8, 9))
    assert not fits((1, 9, 9))
    assert not stretches.fit([{"shape": [3]}])
