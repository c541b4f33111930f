"""nEMO: a table beside a folder of recordings; every file and row is used or named."""

import unicodedata

import numpy as np
import pytest

from lib import datasets, parameters
from lib.datasets import nemo, ravdess
from lib.errors import InputError
from lib.labels import arrays as label_arrays
from lib.labels import folds
from tests.tiny_ravdess import voice, write

HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
EMOTIONS = ("anger", "happiness", "neutral")


def row(name, emotion, speaker):
    return f'{name}.wav\t{emotion}\tCzy to "pan"?\tczy to pan\t{speaker}\tfemale\t24\n'


@pytest.fixture
def root(tmp_path):
    """Six speakers, three emotions each."""
    rows = [HEADER]
    for speaker in range(6):
        for number, emotion in enumerate(EMOTIONS):
            name = f"SP{speaker:02}_{emotion}_01"
            write(tmp_path / "samples" / f"{name}.wav", voice(number + 1, speaker, 1))
            rows.append(row(name, emotion, f"SP{speaker:02}"))
    (tmp_path / "data.tsv").write_text("".join(rows), encoding="utf-8")
    return tmp_path


def add(root, *rows):
    with (root / "data.tsv").open("a", encoding="utf-8") as table:
        table.writelines(rows)


def problems(report):
    return {(one["severity"], one["item"], one["done"]) for one in report.problems}


def test_each_row_is_a_trial_of_sound_with_one_label_of_a_speaker(root):
    table, report = nemo.find(root)
    assert not report.problems
    assert len(table) == 18
    found = table.set_index("trial").loc["SP03_happiness_01"]
    assert found["audio_path"] == "samples/SP03_happiness_01.wav"
    assert (found["subject"], found["split"], found["video_path"]) == ("SP03", "train", "")
    rows = found["expression_path"].split("::", 1)[1]
    label = label_arrays.read([], "expression", np.arange(2) / 25, {"rows": rows})[0][0]
    assert datasets.class_names("nemo")[int(label)] == "happy"
    assert datasets.class_names("nemo") == datasets.class_names("ravdess") == ravdess.CLASSES
    assert datasets.class_names("affwild2") == ()
    assert "nEMO" in datasets.terms("nemo")


def test_folds_divide_speakers(root):
    table, _ = nemo.find(root)
    made = folds.make(table.assign(n_frames=20), 3)  # which notebook 01 counts
    assert made.groupby("subject")["fold"].nunique().max() == 1
    assert set(made["fold"]) == {0, 1, 2}


def test_every_file_and_row_that_is_not_used_is_named(root):
    write(root / "samples" / "stray.wav", voice(1, 1, 1))
    (root / "samples" / "torn.wav").write_bytes(b"RIFF")
    add(
        root,
        row("gone", "fear", "SP01"),
        row("SP00_anger_01", "fear", "SP00"),
        row("odd", "boredom", "SP01"),
        row("torn", "fear", "SP01"),
    )
    table, report = nemo.find(root)
    assert len(table) == 18
    assert problems(report) == {
        ("error", "gone", "left out"),
        ("warning", "SP00_anger_01", "the first counts"),
        ("error", "odd", "left out"),
        ("error", "torn", "left out"),
        ("warning", "stray", "left out"),
    }


def test_without_its_table_or_a_column_the_person_is_told_what_is_missing(root):
    text = (root / "data.tsv").read_text(encoding="utf-8")
    (root / "data.tsv").write_text(text.replace("speaker_id", "who"), encoding="utf-8")
    with pytest.raises(InputError, match="no column speaker_id"):
        nemo.find(root)
    (root / "data.tsv").unlink()
    with pytest.raises(InputError, match=r"no data\.tsv found"):
        nemo.find(root)


def test_a_quotation_mark_in_a_sentence_costs_no_row_and_no_speaker(root):
    table = (root / "data.tsv").read_text(encoding="utf-8").split("\n")
    table[1] = table[1].replace('Czy to "pan"?', '"Czy to pan?')
    table[5] = table[5].replace('Czy to "pan"?', 'Czy "to pan?')
    (root / "data.tsv").write_text("\n".join(table), encoding="utf-8")
    found, _ = nemo.find(root)
    assert len(found) == 18
    assert set(found["trial"].str[:4] == found["subject"]) == {True}


def test_a_row_of_another_length_costs_its_recording_only(root):
    table = (root / "data.tsv").read_text(encoding="utf-8").split("\n")
    lost = table[3].split("\t")[0].removesuffix(".wav")
    table[3] += "\tmore"
    (root / "data.tsv").write_text("\n".join(table), encoding="utf-8")
    found, report = nemo.find(root)
    assert len(found) == 17
    width = len(table[0].split("\t"))
    what = f"1 line is skipped (first: line 4: {width + 1} columns under a header of {width})"
    assert ("data.tsv", what, "the rest is read") in messages(report)
    assert (lost, "has no row in data.tsv", "left out") in messages(report)
    assert len(report.problems) == 2


def messages(report):
    """What the report says, without line ends and the order."""
    return {(one["item"], one["what"], one["done"]) for one in report.problems}


def found_by_01(root, tmp_path, dataset="nemo"):
    """Table and report as notebook 01 has them, with the inventory: file -> (what, why)."""
    given = {"dataset": dataset, "data_root": str(root), "processed_root": str(tmp_path / "p")}
    table, report = datasets.find(parameters.Params(parameters.complete(given)))
    return table, report, {row["file"]: (row["what"], row["why"]) for row in report.files}


def test_the_table_nearest_to_the_root_and_the_released_folder_count_and_others_are_named(root):
    for place in ("backup/deep", "a"):
        (root / place).mkdir(parents=True)
        (root / place / "data.tsv").write_text(HEADER, encoding="utf-8")
    write(root / "other" / "SP00_anger_01.wav", voice(5, 5, 1))
    table, report = nemo.find(root)
    assert len(table) == 18
    assert set(table["audio_path"].str[:8]) == {"samples/"}
    assert messages(report) == {
        ("a/data.tsv", "is another table of the recordings", "data.tsv is read"),
        ("backup/deep/data.tsv", "is another table of the recordings", "data.tsv is read"),
        (
            "SP00_anger_01",
            "is there twice: other/SP00_anger_01.wav, too",
            "samples/SP00_anger_01.wav is used",
        ),
    }


def test_every_file_below_the_root_is_in_the_inventory_with_its_use_or_a_reason(root, tmp_path):
    for name in ("samples/q.mp3", "pack.zip", "README", "data.csv", "samples/.hidden.wav"):
        (root / name).write_bytes(b"x")
    write(root / ".cache" / "h.wav", voice(1, 1, 1))
    write(root / "samples" / "stray.wav", voice(1, 7, 1))
    files = found_by_01(root, tmp_path)[2]
    assert files.pop("data.tsv") == ("the table of the recordings", "")
    assert files.pop(".cache") == ("not used", "hidden")
    assert files.pop("samples/.hidden.wav") == ("not used", "hidden")
    assert files.pop("samples/stray.wav") == ("not used", "has no row in data.tsv")
    assert files.pop("samples/q.mp3") == ("of no trial", "a recording or a sound file")
    assert files.pop("pack.zip") == ("of no trial", "an archive")
    assert {files.pop(name)[0] for name in ("README", "data.csv")} == {"of no trial"}
    assert {what[:18] for what, _ in files.values()} == {"recording of trial"}
    assert len(files) == 18


def test_a_row_whose_recording_is_of_another_kind_names_that_file(root):
    (root / "samples" / "mp.mp3").write_bytes(b"x")
    add(root, row("mp", "fear", "SP01"), row("", "fear", "SP01").replace(".wav", ""))
    assert messages(nemo.find(root)[1]) == {
        ("mp", "is there as samples/mp.mp3 only", "left out"),
        ("a row", "has no file_id", "left out"),
    }


def test_lines_passed_over_columns_of_one_name_and_copies_are_named(root):
    text = (root / "data.tsv").read_text(encoding="utf-8").replace("gender", "emotion")
    (root / "data.tsv").write_text(f"# nEMO\n{text}", encoding="utf-8")
    copy = root / "samples" / "copy.wav"
    copy.write_bytes((root / "samples" / "SP00_anger_01.wav").read_bytes())
    add(root, row("copy", "fear", "SP05"), row("#gone", "fear", "SP01"), row("copy", "fear", "1"))
    table, report = nemo.find(root)
    assert table.set_index("trial")["subject"]["copy"] == "SP05"
    assert messages(report) == {
        ("data.tsv", "line 1 before the header passed over", "the rest is read"),
        ("data.tsv", "1 line is no row and passed over (first: line 22)", "the rest is read"),
        ("data.tsv", "several columns are called emotion", "the first counts"),
        ("copy", "has two rows", "the first counts"),
        ("copy", "is a copy of SP00_anger_01, byte by byte", nemo.KEPT),
    }


def test_a_set_of_which_nothing_is_left_says_what_is_wrong_with_its_rows(root):
    text = (root / "data.tsv").read_text(encoding="utf-8")
    for english in EMOTIONS:
        text = text.replace(f"\t{english}\t", "\tzłość\t")
    (root / "data.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="no recording of nEMO found") as caught:
        nemo.find(root)
    assert "SP00_anger_01 has an emotion called 'złość'" in caught.value.what
    assert "data.tsv:2" in caught.value.what
    assert caught.value.what.endswith("and 15 more problems")
    assert "anger, fear" in caught.value.expected


def test_a_name_that_no_folder_can_have_costs_its_trial_only(root):
    for name in ("a\x07", "a\\b"):
        write(root / "samples" / f"{name}.wav", voice(1, 1, 1))
    write(root / "C:" / "drive.wav", voice(1, 1, 1))
    add(root, row("a\x07", "fear", "SP01"), row("drive", "fear", "SP01"))
    table, report = nemo.find(root)
    assert len(table) == 18
    assert problems(report) == {
        ("error", "'a\\x07'", "left out"),
        ("error", "drive", "left out"),
        ("warning", "a\\b", "left out"),
    }


def test_ids_in_other_spellings_find_their_recordings(root):
    (root / "data.tsv").rename(root / "DATA.TSV")
    composed = "ż 1"
    for number, name in enumerate((unicodedata.normalize("NFD", composed), "S.1.x", "windows")):
        write(root / "samples" / f"{name}.wav", voice(7, number, 1))
    with (root / "DATA.TSV").open("a", encoding="utf-8") as table:
        table.write(row(composed, "fear", "SP01"))
        table.write(row("S.1.x", "fear", "SP01").replace(".wav", ""))
        table.write(row("samples\\windows", "fear", "SP01"))
    table, report = nemo.find(root)
    assert not report.problems
    assert set(table["trial"][18:]) == {composed, "S.1.x", "windows"}
