"""Time codes that count frames, at the rate of the recording that they are of."""

import numpy as np
import pandas as pd
import pytest

from lib.errors import InputError
from lib.evaluation import segments as numbers
from lib.labels import arrays, segments, timecodes

NTSC = 30000 / 1001


def frames(rate=25.0, count=100, first=0.0):
    return first + np.arange(count) / rate


def seconds(codes, times):
    return timecodes.seconds(codes, times, [f"anna.csv:{k}" for k in range(2, len(codes) + 2)])


@pytest.mark.parametrize(
    ("code", "rate", "number"),
    [
        ("00:00:01:12", 25, 37),
        ("00:00:01:12", 23.976, 36),
        ("00:01:00:00", NTSC, 1800),
        ("00:01:00;02", NTSC, 1800),
        ("00;10;00;00", NTSC, 17982),
        ("01:00:00;00", 2 * NTSC, 215784),
    ],
)
def test_a_code_is_the_number_of_a_picture(code, rate, number):
    times = frames(rate, number + 1, first=0.02)
    assert seconds([code], times)[0] == pytest.approx(times[number], abs=1e-6)


@pytest.mark.parametrize(
    ("codes", "times", "said"),
    [
        (["00:00:00:25"], frames(), "counts frame 25, and the recording has 25 frames per second"),
        (["00:00:00;12"], frames(), "is drop frame, and the recording has 25"),
        (["00:00:00;12"], frames(30), "is drop frame, and the recording has 30"),
        (["00:01:00;01"], frames(NTSC, 2000), "is a number that drop frame leaves out"),
        (["00:00:00:12", "00:00:01;12"], frames(), "the first one differ in : and ;"),
        (["10:00:00:00", "10:00:01:00"], frames(), "all time codes lie beyond the recording"),
        (["00:00:00:12"], frames(12.5), "the recording has 12.5 frames per second"),
        (["00:00:00:12"], np.array([0, 0.04, 0.08, 0.4]), "the recording has no steady rate"),
    ],
)
def test_codes_of_another_rate_are_refused_with_their_line(codes, times, said):
    with pytest.raises(InputError, match=said) as caught:
        seconds(codes, times)
    assert caught.value.where.startswith("anna.csv:")


def test_the_rate_is_told_and_whether_the_codes_look_like_those_of_a_lower_one():
    assert timecodes.told(["00:00:01:12"], frames()) == (
        "time codes counted at the recording's own 25 frames per second"
    )
    codes = [f"00:00:{k:02d}:{k:02d}" for k in range(25)]
    assert "none goes beyond frame 24, so they may be of a lower rate" in timecodes.told(
        codes, frames(50)
    )


def labelled(tmp_path, text, times):
    (tmp_path / "anna.csv").write_text(text)
    return arrays.read([tmp_path / "anna.csv"], "va", times, {})


def test_labels_at_time_codes_are_placed_at_their_frames_and_the_rate_is_reported(tmp_path):
    text = "start,end,valence,arousal\n00:00:00:10,00:00:02:00,0.5,-0.5\n"
    rows, _, facts = labelled(tmp_path, text, frames())
    assert np.flatnonzero(np.isfinite(rows[:, 0])).tolist() == list(range(10, 50))
    told = "anna.csv: time codes counted at the recording's own 25 frames per second"
    assert told in facts[arrays.MENDED]


def test_durations_in_time_codes_are_refused(tmp_path):
    text = "start,duration,valence,arousal\n00:00:00:10,00:00:02:00,0.5,-0.5\n"
    with pytest.raises(InputError, match="durations as time codes that count frames"):
        labelled(tmp_path, text, frames())


def test_stretches_at_time_codes_count_in_the_frames_of_each_recording(tmp_path):
    path = tmp_path / "all.csv"
    path.write_text(
        "recording,start,end\nanna,00:00:00:10,00:00:01:00\nben,0:00:00:10,0:00:01:00\n"
    )
    for name, rate in (("anna", 25), ("ben", 50)):
        found = segments.placed(segments.of_recording(path, [name], False), frames(rate))
        assert found.table["start"].tolist() == [pytest.approx(10 / rate)]
        assert f"own {rate} frames per second" in found.notes[-1]


def test_the_numbers_of_stretches_at_time_codes_say_how_they_were_counted(tmp_path):
    path = tmp_path / "anna.csv"
    path.write_text("start,end\n00:00:00:10,00:00:01:00\n")
    values = pd.DataFrame({"frame": range(1, 51), "time": frames(count=50), "valid": 1})
    written, said = numbers.of_video(path, "anna", values, tmp_path)
    assert pd.read_csv(written)["frames"].tolist() == [15]
    assert any("time codes counted at" in line for line in said)
    path.write_text("start,end\n00:00:00:10,00:00:01:30\n")
    with pytest.raises(InputError, match="counts frame 30"):
        numbers.of_video(path, "anna", values, tmp_path)


@pytest.mark.parametrize(
    ("text", "starts", "told"),
    [
        (
            '[{"start": 0, "end": 1500}, {"start": 1500, "end": 3250}]',
            [0, 1.5],
            "times taken as ms: as s they end at 3250 s",
        ),
        ('{"segments": [{"start": 500, "end": 2000}]}', [0.5], "and the recording at 4.00 s"),
        ('[{"start": 0, "end": 2}, {"start": 2, "end": 3}]', [0, 2], ""),
        (
            '[{"start": 0, "end": 150}, {"start": 150, "end": 36000}]',
            [0, 150],
            "times taken as s, though they are whole",
        ),
        ('[{"start": 3000, "end": 3002}, {"start": 3002, "end": 3010}]', [3000, 3002], ""),
    ],
)
def test_numbers_of_json_that_can_only_be_milliseconds_are_and_it_is_told(
    tmp_path, text, starts, told
):
    (tmp_path / "anna.json").write_text(text)
    found = segments.placed(segments.read(tmp_path / "anna.json"), frames())
    assert found.table["start"].tolist() == starts
    assert bool(found.notes) == bool(told)
    assert all(told in note for note in found.notes)
