"""Tables that hold more than one person's values of one recording: their spread beside them,
several recordings, stretches that overlap, times in another unit than the name says.
"""

import datetime

import numpy as np
import pytest

from lib import parameters
from lib.errors import InputError
from lib.labels import arrays, cells, sheets, tables
from lib.store import Store, request

FRAMES = np.arange(50) / 25  # 2 s
TWO = ((0.0, 0.2), (2.0, 0.4))


@pytest.fixture
def read(tmp_path):
    def of(header, *lines, name="anna.csv", **parameters):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *lines]) + "\n")
        return arrays.read([path], "va", FRAMES, parameters)

    return of


# ---- whose values a column holds


@pytest.mark.parametrize(
    "header",
    [
        "time,valence_mean,valence_sd,arousal_mean,arousal_sd",
        "time,valence,Valence (SD),arousal,Arousal (SD)",
        "time,mean valence,std valence,mean arousal,std arousal",
        "time,valence,valence_confidence,arousal,arousal_confidence",
        "time,valence,valence_raw,arousal,arousal_raw",
        "time,valence,valence_gate_pixels,arousal,label_arousal",
    ],
)
def test_the_spread_or_another_form_of_values_is_no_annotator(read, header):
    found = read(header, *(f"{t},{v},0.9,{-v},0.9" for t, v in TWO))
    assert np.allclose(found[0][0], [0.2, -0.2])
    assert "annotators" not in found[2]
    told = ", ".join(header.split(",")[2::2])
    assert f"no annotator's values, and not used: {told}" in found[1]


@pytest.mark.parametrize(("others", "count"), [("Max,Min-ji", 3), ("max,ben", 3), ("min,max", 1)])
def test_max_is_a_person_beside_anna_and_a_limit_beside_min(read, others, count):
    names = ["anna", *others.split(",")]
    columns = [f"{emotion}_{name}" for name in names for emotion in ("valence", "arousal")]
    found = read(",".join(["time", *columns]), *(f"{t}{',0.5,-0.5' * 3}" for t, _ in TWO))
    assert found[2].get("annotators", 1) == count


def test_annotators_count_and_their_mean_beside_them_does_not(read):
    found = read(
        "time,valence_AB,valence_SD,valence_mean,arousal_AB,arousal_SD",
        *(f"{t},{v},{v + 0.2},-0.9,{v},{v}" for t, v in TWO),
    )
    assert np.allclose(found[0][0], [0.3, 0.2])  # SD is somebody's initials beside AB
    assert found[2]["annotators"] == 2


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("time,valence,arousal,valence", "'valence' (column 2) and 'valence' (column 4)"),
        ("time,valence,arousal,V", "'valence' (column 2) and 'V' (column 4)"),
        ("time,valence_raw,arousal,valence_smoothed", "'valence_raw' (column 2) and 'valence_smo"),
    ],
)
def test_two_columns_of_the_same_values_are_refused_with_their_places(read, header, names):
    with pytest.raises(InputError) as caught:
        read(header, *(f"{t},{v},{v},0.9" for t, v in TWO))
    assert names in caught.value.what
    assert caught.value.where.endswith("anna.csv:1")


@pytest.mark.parametrize("header", ["time,rating,latency", "time,mean,std", "time,valence,grip"])
def test_what_stands_beside_the_rating_of_one_emotion_is_no_annotator(tmp_path, header):
    paths = []
    for emotion in ("valence", "arousal"):
        paths.append(tmp_path / emotion / "anna.csv")
        paths[-1].parent.mkdir()
        text = "\n".join([header.replace("valence", emotion), *(f"{t},{v},0.9" for t, v in TWO)])
        paths[-1].write_text(text + "\n")
    found = arrays.read(paths, "va", FRAMES, {})
    assert np.allclose(found[0][0], 0.2)
    assert header.rsplit(",", 1)[1] in found[1]


@pytest.mark.parametrize(
    ("header", "newly"),
    [
        ("time,valence,arousal", False),
        ("time,valence_anna,arousal_anna", False),
        ("time,valence_mean,arousal_mean", False),
        ("time,valence,valence_sd,arousal,arousal_sd", True),
        ("time,valence,arousal,V", True),
    ],
)
def test_only_labels_that_were_averaged_with_something_else_have_another_array(
    tmp_path, header, newly
):
    (tmp_path / "a.csv").write_text(header + "\n" + ",".join("0" * len(header.split(","))) + "\n")
    place = Store(tmp_path / "processed", "folder", tmp_path)
    trial = {"trial": "a", "va_path": "a.csv"}
    told = arrays.resolve(trial, request("va"), place).parameters
    assert told == ({"columns": "of annotators"} if newly else {})


# ---- of which recording rows are


def both(order):
    """Lines of two recordings with opposite valence, rows of one time beside each other or not."""
    lines = [(k, f"{name}.mp4,{k / 10},{sign * 0.5},0") for name, sign in (("anna", 1), ("ben", -1))
             for k in range(21)]  # fmt: skip
    return [line for _, line in (sorted(lines) if order == "by time" else lines)]


@pytest.mark.parametrize("order", ["by time", "one after the other"])
@pytest.mark.parametrize("name", ["video", "File name", "participant", "Aufnahme"])
def test_rows_of_several_recordings_in_one_table_are_refused(read, order, name):
    if name == "Aufnahme" and order == "one after the other":
        name = "recording"
    with pytest.raises(InputError, match="rows of 2 in one table") as caught:
        read(f"{name},time,valence,arousal", *both(order))
    assert f"{name!r} names anna.mp4, ben.mp4" in caught.value.what


def test_rows_of_two_recordings_without_times_are_refused(read):
    lines = [f"{name},{value},0" for name, value in (("anna", 1), ("ben", -1)) for _ in range(25)]
    with pytest.raises(InputError, match="its column 'clip' names anna, ben"):
        read("clip,valence,arousal", *lines)


def test_a_column_that_changes_while_times_rise_is_no_other_recording(read):
    lines = [f"{k / 10},{'sad' if k < 10 else 'gay'}.mp4,0.5,0" for k in range(21)]
    assert np.allclose(read("time,stimulus,valence,arousal", *lines)[0][:, 0], 0.5)


def test_a_table_that_says_it_is_of_another_recording_is_told(read):
    rows = (f"{t},ben.mp4,{v},0" for t, v in TWO)
    assert "anna.csv: it is said to be of ben.mp4" in read("time,video,valence,arousal", *rows)[2][
        arrays.MENDED
    ]  # fmt: skip


# ---- when


def test_stretches_that_overlap_are_told_and_one_inside_another_is_refused(read):
    found = read("start,end,valence,arousal", "0,1.2,0.1,0", "1,2,0.9,0")
    assert np.allclose(found[0][24:26, 0], [0.1, 0.9])
    assert "1 stretch begins before the last one ends" in found[1]
    for second in ("0.4,0.8", "0,2"):
        with pytest.raises(InputError, match="a stretch inside another one") as caught:
            read("start,end,valence,arousal", "0,2,0.1,0", f"{second},0.9,0")
        assert caught.value.where.endswith("anna.csv:3")


def test_an_end_or_a_duration_alone_is_not_one_row_per_frame(read):
    for name in ("offset_ms", "end", "duration"):
        with pytest.raises(InputError, match="may be a time, and is not understood"):
            read(f"{name},valence,arousal", *(f"{k},0,0" for k in range(1, 51)))
    assert np.allclose(read("duration,valence,arousal", "2,0.3,0.1")[0], [0.3, 0.1])


def test_which_of_two_columns_of_times_counts_is_told(read):
    found = read("Time [s],timestamp,valence,arousal", *(f"{t},99,{v},0" for t, v in TWO))
    assert "times taken from the column 'Time [s]', and not 'timestamp'" in found[1]


@pytest.mark.parametrize(
    ("header", "unit"), [("time", 60), ("time", 86400), ("Time(ms)", 1000), ("begin_ms", 1000)]
)
def test_labels_far_too_dense_for_their_recording_have_another_unit(read, header, unit):
    lines = (f"{k / 25 / unit:.9f},0,0" for k in range(50))
    with pytest.raises(
        InputError, match=r"50 labels within .* s, of a recording of 1.96 s"
    ) as error:
        read(f"{header},valence,arousal", *lines)
    assert "unit" in error.value.todo


def test_labels_of_a_small_part_or_of_nothing_are_told(read):
    part = read("frame,valence,arousal", *(f"{k},0.5,0" for k in range(1, 11)))
    assert (
        "anna.csv: labels from 0.00 to 0.36 s, and the recording lasts 2.00 s" in part[2]["mended"]
    )
    empty = read("time,valence,arousal", "0,-5,-5", "2,,")
    assert "anna.csv: no frame of the recording is labelled" in empty[2]["mended"]
    whole = read("time,valence,arousal", "0,0,0", "2,0,0")
    assert whole[2] == {}


# ---- on which scale


@pytest.mark.parametrize("chosen", [[9, 1], [1], [1, 1], [0, 50, 100], [float("nan"), 1]])
def test_a_range_that_is_no_scale_is_refused_before_anything_is_read(read, chosen):
    with pytest.raises(InputError, match="is no scale"):
        read("time,valence,arousal", "0,0,0", range=chosen)
    assert any("as [1, 9]" in problem for problem in parameters.validate({"label_range": chosen}))
    assert cells.chosen_limits([1, 9]) == (1, 9)


# ---- Excel


def excel(path, rows, *more):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for page, lines in [(book.active, rows), *((book.create_sheet(), lines) for lines in more)]:
        for line in lines:
            page.append(line)
    book.save(path)
    return arrays.read([path], "va", FRAMES, {})


HEAD = ["time", "valence", "arousal"]


def test_a_value_that_excel_took_for_a_day_is_refused(tmp_path):
    day = datetime.datetime(2026, 5, 1)  # 1.5, typed into a German Excel
    with pytest.raises(InputError, match="'2026-05-01 00:00:00' in column valence is no number"):
        excel(tmp_path / "a.xlsx", [HEAD, [0, day, 0.1], [2, 0.2, 0.1]])
    with pytest.raises(InputError, match="'00:30:00' in column arousal is no number"):
        excel(tmp_path / "b.xlsx", [HEAD, [0, 0.1, datetime.time(0, 30)], [2, 0.2, 0.1]])


def test_times_of_excel_count_by_their_clock(tmp_path):
    for number, of in enumerate(
        (
            lambda s: datetime.time(0, 0, s),
            lambda s: datetime.timedelta(seconds=s),
            lambda s: datetime.datetime(2026, 3, 9, 0, 0, s, 1),
        )
    ):
        found = excel(tmp_path / f"{number}.xlsx", [HEAD, [of(0), 0, 0.1], [of(2), 0.4, 0.1]])
        assert np.allclose(found[0][:, 0], FRAMES / 5, atol=1e-5)


def test_labels_in_a_second_sheet_are_told(tmp_path):
    rows = [HEAD, [0, 0.2, 0.1], [2, 0.2, 0.1]]
    assert "not used: labels in other sheets (1)" in excel(tmp_path / "a.xlsx", rows, rows)[1]


# ---- more


def test_pictures_that_are_not_all_frames_are_no_row_per_frame(read):
    name = "anna/img_{:05d}.jpg,0.5,0"
    whole = [name.format(number) for number in range(1, 51)]
    assert np.allclose(read("image,valence,arousal", *whole)[0], [0.5, 0])
    for number, lines in enumerate([whole[::-1], whole[::2], [whole[0], *whole[2:]], whole[10:]]):
        with pytest.raises(InputError, match="not one per frame"):
            read("image,valence,arousal", *lines, name=f"{number}.csv")


def test_an_annotator_may_be_a_number_behind_the_name(read):
    found = read("time,valence1,arousal1,valence2,arousal2", "0,.1,.2,.3,.4", "2,.1,.2,.3,.4")
    assert np.allclose(found[0], [0.2, 0.3])
    assert found[2]["annotators"] == 2


def test_labels_that_go_on_after_the_recording_are_told(read):
    table = ("time,valence,arousal", "0,0,0", "2,0,0", "4.5,0,0")
    assert read(*table)[2]["mended"] == ["anna.csv: labels go on for 2.54 s after the last frame"]
    assert "mended" not in read(*table, delay=2.0)[2]


def test_columns_that_are_parted_by_blanks_are_told_as_that(read):
    for number, blanks in enumerate((" ", "   ")):
        lines = [blanks.join(["time", "valence", "arousal"]), blanks.join(["0", "0.1", "0.2"])]
        with pytest.raises(InputError, match="parted by blanks") as caught:
            read(*lines, name=f"{number}.csv")
        assert caught.value.where.endswith(":1")
    titled = read("Valence and arousal", "time,valence,arousal", "0,0.1,0.2", "2,0.1,0.2")
    assert np.allclose(titled[0], [0.1, 0.2])


def test_numbers_of_expressions_are_told_with_their_names(tmp_path):
    (tmp_path / "a.csv").write_text("time,emotion\n0,4\n1,1\n2,4\n")
    facts = arrays.read([tmp_path / "a.csv"], "expression", FRAMES, {})[2]
    assert facts["mended"] == ["a.csv: numbers of expressions are taken as 1 Anger, 4 Happiness"]
    (tmp_path / "b.csv").write_text("time,emotion\n0,happy\n1,angry\n2,happy\n")
    assert arrays.read([tmp_path / "b.csv"], "expression", FRAMES, {})[2] == {}


def test_a_quotation_mark_that_encloses_no_cell_takes_no_other_cell_or_row_into_it(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('time\ttext\tvalence\n0\t"Nie\t0.1\n1\tmow "tak\t0.2\n2\t"a\nb"\t0.3\n')
    table = sheets.read(path)
    assert table.rows == [["0", '"Nie', "0.1"], ["1", 'mow "tak', "0.2"], ["2", "a\nb", "0.3"]]
    assert table.lines == [2, 3, 4]
    assert "signs of the text (1 line, first: line 2)" in table.notes[0]
    path.write_text('time,text,valence\n0,"Nie,0.1\n1,mow "tak,0.2\n')
    with pytest.raises(InputError, match="does not end with one") as caught:
        sheets.read(path)
    assert caught.value.where.endswith(":2")
    path.write_text('time,text,valence\n0,"a,b\nc,d",0.2\n')
    table = sheets.read(path)
    assert table.rows == [["0", "a,b\nc,d", "0.2"]]
    assert table.notes == ["lines 2 to 3 are one row: a cell of several lines in quotation marks"]


# ---- rows of several annotators under other names


@pytest.mark.parametrize("name", ["evaluator", "annotator_name", "Rater Nr.", "WorkerID", "coder"])
def test_rows_of_several_annotators_are_told_apart_by_any_usual_name(read, name):
    rows = ("0,1,0.1,0.2", "0,2,0.3,0.4", "2,1,0.1,0.2", "2,2,0.3,0.4")
    values, _, facts = read(f"time,{name},valence,arousal", *rows)
    assert facts["annotators"] == 2
    assert np.allclose(values[0], (0.2, 0.3))


@pytest.mark.parametrize("name", ["take", "trial_no", "condition"])
def test_numbers_that_repeat_all_times_are_told_and_not_averaged(read, name):
    rows = ("0,1,0.1,0.2", "0,2,0.3,0.4", "2,1,0.1,0.2", "2,2,0.3,0.4")
    with pytest.raises(InputError, match=rf"its column '{name}' names 1, 2"):
        read(f"time,{name},valence,arousal", *rows)


def test_numbers_that_differ_in_a_few_rows_of_one_time_part_nothing(read):
    rows = ("0,1,0.1,0.2", "0,2,0.3,0.4", "1,1,0.1,0.2", "1.5,2,0.1,0.2", "2,1,0.3,0.4")
    _, _, facts = read("time,level,valence,arousal", *rows)
    assert any("1 times come twice" in note for note in facts[arrays.MENDED])


def test_a_second_column_that_pandas_renamed_is_nobodys_annotator(read):
    with pytest.raises(InputError, match=r"'valence' \(column 2\) and 'valence.1' \(column 4\)"):
        read("time,valence,arousal,valence.1,arousal.1", "0,0.1,0.2,0.3,0.4", "2,0.1,0.2,0.3,0.4")


def test_times_that_begin_again_say_that_an_annotator_may_be_missing(read):
    with pytest.raises(InputError, match="add a column annotator"):
        read("time,valence,arousal", "0,0.1,0.2", "2,0.1,0.2", "0,0.3,0.4", "2,0.3,0.4")


def test_a_scale_in_the_name_that_label_range_contradicts_is_told(read):
    rows = ("0,1,7", "2,5,5")
    _, _, facts = read("time,valence (1-9),arousal (1-9)", *rows, range=[1, 7])
    assert any("though the column's name says 1…9" in note for note in facts[arrays.MENDED])


@pytest.mark.parametrize("header", ["# time,valence,arousal", "#time,valence,arousal"])
def test_a_header_behind_the_sign_of_a_remark_is_one(read, header):
    """numpy.savetxt writes it so."""
    values, _, _ = read(header, "0,0.1,", "1,0.2,0.3", "2,0.3,0.4")
    assert values[0, 0] == np.float32(0.1)


def test_a_text_of_columns_between_blanks_is_no_prose(tmp_path):
    path = tmp_path / "anna.txt"
    path.write_text("time valence arousal\n0.0 0.1 0.2\n")
    with pytest.raises(InputError, match="parted by blanks"):
        tables.form(path)


def test_numbers_are_told_beside_words_that_count_as_other(tmp_path):
    (tmp_path / "a.csv").write_text("time,emotion\n0,calm\n1,1\n2,calm\n")
    told = arrays.read([tmp_path / "a.csv"], "expression", FRAMES, {})[2]["mended"]
    assert any("calm counts as the class Other" in note for note in told)
    assert any("numbers of expressions are taken as 1 Anger" in note for note in told)
