"""Label files as spreadsheets, rating programs and data sets leave them: what was done is told,
with its line; what is not understood is refused by name, never taken as one row per frame.
"""

import datetime
import json

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import arrays, columns, tables
from lib.store import Store, request
from tests.datasets.test_foreign_files import EAF

FRAMES = np.arange(50) / 25  # 2 s
RAMP = FRAMES / 4


def rows(mark=",", comma=False, unit=1.0, step=0.1, last=2.0):
    """Lines of time, valence t/4 and arousal −t/4."""
    lines = []
    for k in range(round(last / step) + 1):
        text = mark.join([f"{k * step / unit:.4g}", f"{k * step / 4:.4f}", f"{-k * step / 4:.4f}"])
        lines.append(text.replace(".", ",") if comma else text)
    return "\n".join(lines) + "\n"


@pytest.fixture
def read(tmp_path):
    def of(content, name="anna.csv", **parameters):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return arrays.read([path], "va", FRAMES, parameters)

    return of


def is_ramp(found):
    return np.allclose(found[0][:, 0], RAMP, atol=0.02) and np.allclose(
        found[0][:, 1], -RAMP, atol=0.02
    )


# ---- when


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *[(name, 1) for name in ("time", "Time", "TIME", "Timestamp", "timeStamp", "time_stamp")],
        *[(name, 1) for name in ("Time [s]", "time(s)", "Time (sec)", "t", "Seconds", "Time in s")],
        *[(name, 1) for name in ("time/s", "time-seconds", "FrameTime", "Zeit [s]", '"Time {s}"')],
        *[(name, 1e-3) for name in ("time_ms", "Time [ms]", "time (msec)", "Timestamp.ms", "ms")],
        *[(name, 1e-3) for name in ("Begin Time - msec", "t_ms", "Time in milliseconds")],
        *[(name, 60) for name in ("time [min]", "Time (minutes)")],
        ("Time [µs]", 1e-6),
    ],
)
def test_a_time_column_is_known_by_many_names_and_units(read, name, unit):
    assert is_ramp(read(f"{name},Valence,Arousal\n{rows(unit=unit)}"))


@pytest.mark.parametrize(
    "name",
    ["Time [fortnights]", "clock", "Uhrzeit", "T_rel_sec", "stamp of time", "moment", "Sekunde.x"],
)
def test_a_column_that_might_be_a_time_is_named_and_never_one_row_a_frame(read, name):
    table = f"{name},valence,arousal\n{rows(step=0.04, last=1.96)}"
    with pytest.raises(InputError, match="may be a time, and is not understood") as caught:
        read(table)
    assert name in caught.value.what
    assert caught.value.where.endswith(":1")


def test_an_index_that_counts_rows_is_no_time(read):
    lines = "".join(f"{k},0.1,0.2\n" for k in range(50))
    assert np.allclose(read(f",valence,arousal\n{lines}")[0], [0.1, 0.2])


def test_a_column_that_is_not_understood_is_named_beside_one_that_is(read):
    found = read("time,valence,arousal,mood\n0,0.1,0.2,5\n2,0.1,0.2,9\n")
    assert "columns not understood and not used: mood" in found[1]
    assert found[2][arrays.MENDED] == ["anna.csv: columns not understood and not used: mood"]


def test_times_may_be_written_as_on_a_clock(read):
    assert is_ramp(read("Timecode;valence;arousal\n00:00:00,0;0;0\n00:00:02,0;0,5;-0,5\n"))
    with pytest.raises(InputError, match="is no time"):
        read("timecode,valence,arousal\n00:00:00:12:5,0,0\n")


def test_frames_are_counted_from_0_or_1_or_named_as_a_unit(read):
    zero = "".join(f"{k},{k / 100},{-k / 100}\n" for k in range(50))
    one = "".join(f"{k + 1},{k / 100},{-k / 100}\n" for k in range(50))
    found = read(f"frame,valence,arousal\n{zero}")
    assert is_ramp(found)
    assert "frames counted from 0 (line 2)" in found[1]
    for name in ("Frame", "frame_id", "frame number", "time [frames]", "FrameIndex"):
        assert is_ramp(read(f"{name},valence,arousal\n{one}"))
    with pytest.raises(InputError, match="is no number"):
        read("frame,valence,arousal\ninf,0,0\n")
    with pytest.raises(InputError, match="not whole"):
        read("frame,valence,arousal\n1.5,0,0\n")


def test_a_start_with_a_duration_is_a_stretch(read):
    found = read("onset,duration,valence,arousal\n0,1,0.5,0.1\n1,1,-0.5,0.1\n")[0]
    assert np.allclose(found[:25, 0], 0.5)
    assert np.allclose(found[25:, 0], -0.5)


def test_times_of_a_fast_joystick_are_averaged_and_told_once(read):
    lines = "".join(f"{round(k / 150, 2):.2f},{k / 600:.4f},{-k / 600:.4f}\n" for k in range(300))
    found = read(f"time,valence,arousal\n{lines}")
    assert is_ramp(found)
    assert "100 times come twice: their mean (first: line 4)" in found[1]
    assert len(found[2][arrays.MENDED]) == 1


# ---- how it is written


TABLE = "time,valence,arousal\n" + rows()
WRITTEN = {
    "sep=": "sep=;\r\ntime;valence;arousal\r\n" + rows(";", comma=True).replace("\n", "\r\n"),
    "remarks": "# rater 3\n# 2026\n" + TABLE,
    "bars": "time|valence|arousal\n" + rows("|"),
    "tabs": "time\tvalence\tarousal\n" + rows("\t", comma=True),
    "old line ends": TABLE.replace("\n", "\r"),
    "UTF-16": TABLE.encode("utf-16"),
    "UTF-16 without a mark": TABLE.encode("utf-16-le"),
    "UTF-8 with a mark": TABLE.encode("utf-8-sig"),
    "Windows": ("time,valence,arousal,comment\n" + rows().replace("\n", ",Jos\u00e9\n")).encode(
        "cp1252"
    ),
    "empty rows": TABLE + ",,\n,,\n\n",
    "an empty line inside": TABLE.replace("\n0.5,", "\n\n,,\n0.5,"),
    "an empty last column": TABLE.replace("\n", ",\n"),
    "quotation marks": '"time","valence","arousal"\n' + rows(),
    "blanks": "time , valence , arousal\n" + rows(" , "),
    "a title": "Ratings of Anna\nSession 3, morning\n\n" + TABLE,
}


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("name", ["anna.csv", "anna.txt", "anna.tsv"])
def test_a_table_is_read_however_it_was_saved(read, how, name):
    assert is_ramp(read(WRITTEN[how], name))


def test_lines_that_were_passed_over_are_told_with_their_numbers(read):
    assert "lines 1 to 2 before the header passed over" in read(WRITTEN["remarks"])[1]
    assert (
        "2 lines are no row and passed over (first: line 7)"
        in read(WRITTEN["an empty line inside"])[1]
    )


@pytest.mark.parametrize("gap", ["None", "#N/A", "n/a", "#NV", "NaN", "", "-", "null"])
def test_words_for_nothing_are_unlabelled(read, gap):
    lines = "0,0,0\n1,0.25,-0.25\n" + "".join(f"{k / 25:.2f},{gap},{gap}\n" for k in range(26, 50))
    found = read(f"time,valence,arousal\n{lines}", resample="nearest")
    assert np.isnan(found[0][30:]).all()
    told = gap.lower() not in ("nan", "", "null")
    assert (
        f"{gap} in 24 cells of valence counts as unlabelled (first: line 4)" in found[1]
    ) == told


# ---- what


def test_values_out_of_range_are_refused_with_their_range_and_the_way_out(read):
    table = "time,valence,arousal\n0,1,9\n2,5,5\n"
    with pytest.raises(InputError, match="valence is out of −1…1: from 1 to 5") as caught:
        read(table)
    assert "label_range" in caught.value.todo
    found = read(table, range=[1, 9])
    assert np.allclose(found[0][0], [-1, 1])
    assert np.allclose(found[0][-1], [0 - 0.04 / 2 * 1, 0], atol=0.05)
    assert "1…9 mapped to −1…1 (label_range)" in found[1]
    with pytest.raises(InputError, match="out of 1…4: from 4 to 5") as caught:
        read(table.replace("\n0,1", "\n0,4"), range=[1, 4])
    assert caught.value.expected == "valence and arousal in 1…4, −5 or empty where unlabelled"
    with pytest.raises(InputError) as caught:
        read(table, range=[-6, 6])
    assert caught.value.expected == "valence and arousal in −6…6, empty where unlabelled"


def test_minus_five_is_a_value_only_on_a_scale_that_holds_it(read):
    table = "time,valence,arousal\n0,-5,-5\n0.04,0.5,0.5\n2,0.5,0.5\n"
    assert np.isnan(read(table, resample="nearest")[0][0]).all()
    assert np.allclose(read(table, range=[-10, 10])[0][0], -0.5)


def test_a_column_of_annotators_parts_the_rows(read):
    lines = "".join(f"{t},{who},{v},0\n" for who, v in (("a", 0.2), ("b", 0.4)) for t in (0, 2))
    found = read(f"time,rater,valence,arousal\n{lines}")
    assert np.allclose(found[0][:, 0], 0.3)
    assert found[2]["annotators"] == 2


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Valence", "valence"),
        ("arousal (self)", "arousal"),
        ("valence.anna", "valence"),
        ("Anna Arousal", "arousal"),
        ("valence_rating", "valence"),
        ("x" * 10_000, "unknown"),
        (" - ".join("ab" * 20), "unknown"),
    ],
)
def test_the_meaning_of_a_column(name, what):
    assert columns.meaning(name).what == what


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   \n",
        b"<html><body>Sign in</body></html>",
        b"0.1,0.2\n0.3,0.4\n",
        b"# only remarks\n",
    ],
)
def test_an_empty_file_a_web_page_and_one_without_a_header_are_errors(tmp_path, content):
    path = tmp_path / "anna.csv"
    path.write_bytes(content)
    with pytest.raises(InputError):
        tables.form(path)


def test_a_header_without_a_row_is_an_error(read):
    with pytest.raises(InputError, match="without a row"):
        read("time,valence,arousal\n")


# ---- programs and data sets


CARMA = (
    "Time of Rating,09-Mar-2026 12:00:00\nMultimedia File,anna.mp4\nLower Label,{low}\n"
    "Upper Label,{high}\nMinimum Value,-100\nMaximum Value,100\nNumber of Steps,9\n"
    "Second,Rating\n%%%%%%,%%%%%%\n"
)
SECONDS = "".join(f"{k / 10:.1f},{k * 2.5:.2f}\n" for k in range(21))
DARMA = "Time of Rating,x\nMultimedia File,a.mp4\nMagnitude,100\nSecond,X,Y\n%%%%,%%%%,%%%%\n"


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("anna_valence.csv", "low", "high"), ("anna.csv", "Unpleasant", "Pleasant")],
)
def test_carma_says_its_own_scale(tmp_path, name, low, high):
    path = tmp_path / name
    path.write_text(CARMA.format(low=low, high=high) + SECONDS)
    found = tables.read(path)[0]
    assert np.allclose(found.values[:, 0], np.arange(21) / 40)
    assert np.isnan(found.values[:, 1]).all()
    assert "−100…100 mapped to −1…1 (as the file says)" in found.notes


def test_a_rating_of_nobody_knows_what_is_refused(tmp_path):
    path = tmp_path / "anna.csv"
    path.write_text(CARMA.format(low="low", high="high") + SECONDS)
    with pytest.raises(InputError, match="no column of valence or arousal") as caught:
        tables.read(path)
    assert "_valence.csv" in caught.value.todo


def test_darma_has_valence_on_its_first_axis(read):
    lines = "".join(f"{k / 10:.1f},{k * 2.5:.2f},{k * -2.5:.2f}\n" for k in range(21))
    found = read(DARMA + lines)
    assert is_ramp(found)
    assert "X taken as valence, Y as arousal" in found[1]


def test_afew_va_counts_from_0_and_to_10(read):
    frames = {f"{k:05d}": {"valence": k / 10, "arousal": -k / 10} for k in range(50)}
    found = read(json.dumps({"video_id": "1", "frames": frames}), "anna.json")
    assert is_ramp(found)
    assert "−10…10 mapped to −1…1" in found[1]


def test_elan_has_a_stretch_an_annotation_and_an_offset_of_its_medium(tmp_path):
    path = tmp_path / "anna.eaf"
    path.write_text(EAF.replace('MIME_TYPE="', 'TIME_ORIGIN="500" MIME_TYPE="'))
    found = tables.read(path)[0]
    assert (found.time.tolist(), found.until.tolist()) == ([0.5], [0.7])
    assert found.values[0, 0] == 0.4
    assert "0.5 s of offset added" in found.notes
    path.write_text(EAF.replace(">0.4<", ">happy<"))
    with pytest.raises(InputError, match="'happy' is no number") as caught:
        tables.read(path)
    assert "tier valence, at 0 ms" in caught.value.where


NOVA = (
    '<?xml version="1.0"?><annotation ssi-v="3"><info ftype="{ftype}" size="20"/>'
    '<meta role="anna" annotator="r1"/><scheme name="{name}" type="{type}" sr="10" min="0" '
    'max="1"/></annotation>'
)


@pytest.mark.parametrize("ftype", ["ASCII", "BINARY"])
def test_nova_has_values_at_a_rate_beside_its_xml(tmp_path, ftype):
    paths = []
    for name, sign in (("valence", 1), ("arousal", -1)):
        path = tmp_path / f"anna.{name}.r1.annotation"
        path.write_text(NOVA.format(ftype=ftype, name=name, type="CONTINUOUS"))
        values = (sign * np.arange(21) / 40 + 1) / 2
        data = np.stack([values, np.ones(21)], axis=1).astype("<f4")
        text = "".join(f"{value};1.0\n" for value in values)
        beside = path.with_name(path.name + "~")
        beside.write_bytes(data.tobytes() if ftype == "BINARY" else text.encode())
        paths.append(path)
    assert is_ramp(arrays.read(paths, "va", FRAMES, {}))


def test_excel_is_read_from_the_sheet_that_has_labels(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["notes", "of the rater"])
    page = book.create_sheet("ratings")
    page.append(["Ratings of Anna"])
    page.append(["Time", "Valence", "Arousal"])
    for k in range(21):
        moment = datetime.time(0, 0, k // 10, 100_000 * (k % 10))
        page.append([moment if k % 2 else k / 10, k / 40, -k / 40])
    path = tmp_path / "anna.xlsx"
    book.save(path)
    found = arrays.read([path], "va", FRAMES, {})
    assert is_ramp(found)
    assert "line 1 before the header passed over" in found[1]


@pytest.mark.parametrize(
    ("head", "newly"),
    [("Time [s]", True), ("time", False), ("timeStamp", False), ("frame", False), ("zeit", True)],
)
def test_only_labels_that_were_placed_otherwise_before_have_another_array(tmp_path, head, newly):
    (tmp_path / "a.csv").write_text(f"{head},valence,arousal\n1,0,0\n2,0,0\n")
    trial = {"trial": "a", "va_path": "a.csv"}
    place = Store(tmp_path / "processed", "folder", tmp_path)
    told = arrays.resolve(trial, request("va"), place).parameters
    assert told == ({"times": "by their column"} if newly else {})
