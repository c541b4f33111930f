"""ELAN's export as a table, and label tracks of Audacity, as labels."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import arrays, segments, tables

FRAMES = np.arange(100) / 25  # 4 s
UNITS = {
    "hh:mm:ss.ms": lambda ms: f"00:00:{ms / 1000:06.3f}",
    "ss.msec": lambda ms: f"{ms / 1000:g}",
    "msec": str,
}
RATED = {"valence": (-0.5, 0.25), "Arousal": (0.75, 1), "speech": ("hello", "you")}


def export(units, header=True, more=""):
    """ELAN's text: tier, participant, begin, end and duration in these units, annotation."""
    times = ("Begin Time", "End Time", "Duration")
    names = ["Tier", "Participant", *(f"{time} - {unit}" for time in times for unit in units)]
    lines = [[*names, "Annotation"]] if header else []
    for tier, texts in RATED.items():
        for text, (begin, end) in zip(texts, [(0, 1500), (1500, 3000)], strict=True):
            values = [UNITS[unit](ms) for ms in (begin, end, end - begin) for unit in units]
            lines.append([tier, "", *values, str(text)])
    return "".join("\t".join(line) + more + "\n" for line in lines)


def read(tmp_path, *contents, names=("anna.txt",)):
    paths = [tmp_path / name for name in names]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode())
    return arrays.read(paths, "va", FRAMES, {})


@pytest.mark.parametrize("units", [["ss.msec"], ["msec"], ["hh:mm:ss.ms"], list(UNITS)])
@pytest.mark.parametrize("before", ["", '"#file:///C:/anna.mp4 -- offset: 0"\r\n\r\n'])
def test_an_export_of_elan_is_read_with_the_names_of_its_columns(tmp_path, units, before):
    rows = read(tmp_path, before + export(units).replace("\n", "\r\n"))[0]
    assert np.allclose(rows[[0, 37, 38, 74]], [[-0.5, 0.75]] * 2 + [[0.25, 1]] * 2)
    assert np.isnan(rows[75:]).all()
    assert tables.kinds(tmp_path / "anna.txt") == ["va"]


def test_an_export_of_several_recordings_is_refused(tmp_path):
    head, *lines = export(["msec"]).splitlines()
    two = [f"{line}\t{name}" for name in ("anna", "ben") for line in lines]
    with pytest.raises(InputError, match="its column 'File' names anna, ben"):
        read(tmp_path, "\n".join([f"{head}\tFile", *two]))


def test_an_offset_that_may_be_in_the_times_or_not_is_refused(tmp_path):
    with pytest.raises(InputError, match="whose medium has an offset of 1500 ms"):
        read(tmp_path, '"#file:///C:/anna.mp4 -- offset: 1500"\n' + export(["msec"]))


def test_an_export_of_elan_that_became_a_workbook_is_read(tmp_path):
    book = pytest.importorskip("openpyxl").Workbook()
    for line in export(["hh:mm:ss.ms"]).splitlines():
        book.active.append(line.split("\t"))
    book.save(tmp_path / "anna.xlsx")
    rows = arrays.read([tmp_path / "anna.xlsx"], "va", FRAMES, {})[0]
    assert np.allclose(rows[[0, 74]], [[-0.5, 0.75], [0.25, 1]])


def test_an_export_with_the_spread_of_ratings_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="tiers of valence and arousal without an annotation"):
        read(tmp_path, export(["msec"]).replace("valence", "valence_sd").replace("Arousal", "x"))


@pytest.mark.parametrize("units", [["ss.msec"], ["hh:mm:ss.ms"], list(UNITS)])
@pytest.mark.parametrize("before", ["", '"#file:///C:/anna.mp4 -- offset: 0"\r\n\r\n'])
def test_an_export_of_elan_is_read_without_the_names_of_its_columns(tmp_path, units, before):
    rows, note, _ = read(tmp_path, before + export(units, header=False))
    assert np.allclose(rows[[0, 37, 38, 74]], [[-0.5, 0.75]] * 2 + [[0.25, 1]] * 2)
    assert "read as an export of ELAN without the names of its columns: tier, participant" in note


@pytest.mark.parametrize("header", [True, False])
def test_an_offset_is_refused_without_the_names_of_the_columns_and_of_stretches(tmp_path, header):
    text = '"#file:///C:/anna.mp4 -- offset: 1500"\n' + export(["ss.msec"], header)
    with pytest.raises(InputError, match="whose medium has an offset of 1500 ms"):
        read(tmp_path, text)
    with pytest.raises(InputError, match="whose medium has an offset of 1500 ms"):
        segments.read(tmp_path / "anna.txt")


def test_times_of_an_export_of_elan_may_be_time_codes(tmp_path):
    text = "valence\t00:00:00:10\t00:00:02:00\t0.5\narousal\t00:00:00:10\t00:00:02:00\t1\n"
    rows, note, _ = read(tmp_path, text)
    assert np.flatnonzero(np.isfinite(rows[:, 0])).tolist() == list(range(10, 50))
    assert "time codes counted at the recording's own 25 frames per second" in note


@pytest.mark.parametrize(
    "text",
    [
        export(["msec"], header=False),  # whole numbers might be s
        export(["ss.msec"], header=False).replace("\t1.5\t-0.5", "\t1.4\t-0.5"),
        "anna\t0.100\t0.200\t0.3\n",
    ],
)
def test_times_without_names_that_nothing_confirms_are_not_taken_for_an_export(tmp_path, text):
    with pytest.raises(InputError, match="start and end"):
        segments.read(written(tmp_path, text))


def written(tmp_path, text):
    (tmp_path / "anna.txt").write_text(text)
    return tmp_path / "anna.txt"


def test_who_speaks_is_the_participant_of_an_export_without_names(tmp_path):
    path = written(tmp_path, export(list(UNITS), header=False).replace("\t\t", "\tBen\t"))
    found = segments.read(path)
    assert found.table["start"].tolist() == [0, 1.5] * 3
    assert set(found.table["speaker"]) == {"Ben"}
    assert found.table["Tier"].tolist()[::2] == list(RATED)


FILES = ("anna_valence.txt", "anna_arousal.txt")


def test_a_label_track_of_audacity_has_the_values_of_stretches(tmp_path):
    valence = "0.000000\t1.500000\t-0.5\n\\\t100.000000\t2000.000000\n1.500000\t3.000000\t0.25\n"
    rows, note, _ = read(tmp_path, valence, "0,000000\t3,000000\t0,75\n", names=FILES)
    assert np.allclose(rows[[0, 37, 38, 74]], [[-0.5, 0.75]] * 2 + [[0.25, 0.75]] * 2)
    assert np.isnan(rows[75:]).all()
    assert "read as a label track of Audacity" in note


def test_three_numbers_that_are_no_stretch_are_no_label_track(tmp_path):
    lines = "".join(f"{k / 25:.6f}\t{k / 500:.6f}\t0.100000\n" for k in range(100))
    with pytest.raises(InputError, match="a label table without a header line"):
        read(tmp_path, lines, lines, names=FILES)
