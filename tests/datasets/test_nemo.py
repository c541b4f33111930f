"""nEMO: a table beside a folder of recordings; every file and row is used or named."""

import numpy as np
import pytest

from lib import datasets
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
