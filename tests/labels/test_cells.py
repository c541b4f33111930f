"""Times as programs for films write them, times of stretches in another unit, FaceReader's gaps."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import arrays, tables

FRAMES = np.arange(250) / 25  # 10 s


def read(tmp_path, content, name="anna.csv"):
    path = tmp_path / name
    path.write_text(content)
    return arrays.read([path], "va", FRAMES, {})


def stamped(form):
    """Rows every 0.2 s; form : of a whole second and a number of frames at 25 frames/s."""
    lines = (f"{form.format(*divmod(frame, 25))},0.1,0.2\n" for frame in range(0, 250, 5))
    return "time,valence,arousal\n" + "".join(lines)


def test_a_time_code_among_other_times_is_named_as_that(tmp_path):
    with pytest.raises(InputError, match="a time code that counts frames"):
        read(tmp_path, stamped("00:00:{:02d}:{:02d}") + "9.9,0,0\n")


def test_frames_behind_a_point_are_no_hundredths(tmp_path):
    with pytest.raises(InputError, match=r"never go beyond \.29 of a second.*count frames"):
        read(tmp_path, stamped("00:00:{:02d}.{:02d}"))
    assert tables.was_untimed(tmp_path / "anna.csv")  # an array of it is not taken for this one


@pytest.mark.parametrize("digits", [2, 3])
def test_hundredths_and_thousandths_are_seconds(tmp_path, digits):
    lines = (f"0:{k / 5:0{digits + 3}.{digits}f},{k / 50:g},0\n" for k in range(50))
    rows = read(tmp_path, "time,valence,arousal\n" + "".join(lines))[0]
    assert np.allclose(rows[:246, 0], FRAMES[:246] / 10, atol=1e-5)


def test_times_of_pandas_are_read_as_on_a_clock(tmp_path):
    lines = (f"0 days 00:00:{k:02d}.500000,{k / 10},0\n" for k in range(10))
    rows = read(tmp_path, "time,valence,arousal\n" + "".join(lines))[0]
    assert np.allclose(rows[[25, 50], 0], [0.05, 0.15])


def test_a_unit_of_signs_is_not_passed_over(tmp_path):
    lines = "".join(f"{10 * k},0.1,0.2\n" for k in range(2))
    with pytest.raises(InputError, match=r"the column 'time \(%\)' may be a time"):
        read(tmp_path, f"time (%),valence,arousal\n{lines}")


STRETCHES = [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0)]


@pytest.mark.parametrize(("word", "unit"), [("min", 60), ("hours", 3600), ("days", 86400)])
def test_stretches_in_another_unit_are_refused_unless_their_columns_say_it(tmp_path, word, unit):
    lines = "".join(f"{a / unit:.9f},{b / unit:.9f},{a / 10},0\n" for a, b in STRETCHES)
    with pytest.raises(InputError, match="4 labels within"):
        read(tmp_path, f"start,end,valence,arousal\n{lines}")
    rows = read(tmp_path, f"start [{word}],end [{word}],valence,arousal\n{lines}")[0]
    assert np.allclose(rows[[1, 99, 101, 199], 0], [0, 0.2, 0.4, 0.6])
    assert np.isnan(rows[201:]).all()


def test_stretches_that_all_lie_in_the_first_tenth_are_told(tmp_path):
    lines = "".join(f"{a / 10},{b / 10},0.5,0\n" for a, b in STRETCHES)
    told = read(tmp_path, f"start,end,valence,arousal\n{lines}")[2][arrays.MENDED]
    assert told == ["anna.csv: labels from 0.00 to 0.76 s, and the recording lasts 10.00 s"]


def test_where_facereader_found_no_face_nothing_is_labelled(tmp_path):
    lines = "00:00:00.000\tFIND_FAILED\tFIT_FAILED\n00:00:00.040\t0.5\t0.1\n"
    rows, note, _ = read(tmp_path, f"Video Time\tValence\tArousal\n{lines}", "anna.txt")
    assert np.isnan(rows[0]).all()
    assert np.allclose(rows[1], [0.5, 0.1])
    assert "FIND_FAILED in 1 cells of Valence counts as unlabelled" in note


def test_numbers_between_blanks_without_a_header_are_told_as_that(tmp_path):
    paths = [tmp_path / f"anna_{emotion}.txt" for emotion in ("valence", "arousal")]
    for path in paths:  # of FEELtrace: a time and a value
        path.write_text("0.000000 0.1\n0.200000 0.2\n")
    with pytest.raises(InputError, match="parted by blanks"):
        arrays.read(paths, "va", FRAMES, {})
