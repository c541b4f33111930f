"""Corpora of emotional speech in a folder: which label, speaker and split each recording gets, and
what is said of it.
"""

import numpy as np
import pytest

from lib import parameters
from lib.datasets import folder
from lib.errors import InputError
from lib.experiments import experiment
from lib.labels import emotions
from lib.media import kinds, writing

SOUND = writing.wav(np.arange(8000, dtype=np.int16), 16_000)
EMOTIONS = ("Angry", "Sad")
TABLE = "file,emotion,speaker,split\n"


@pytest.fixture
def root(tmp_path):
    def place(*names, **texts):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(SOUND)
        for name, text in texts.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return tmp_path

    return place


def found(place, **options):
    """trial -> (class, subject, split), and all that is told."""
    table, report = folder.find(place, **options)
    rows = {
        row.trial: (_class(row.expression_path), row.subject, row.split)
        for row in table.itertuples()
    }
    texts = report.problem_table()[["item", "what", "done"]].agg(" ".join, axis=1)
    return rows, " ".join(texts)


def _class(path):
    return emotions.CLASSES[int(path.removeprefix("::="))] if path else ""


@pytest.mark.parametrize(
    ("corpus", "names", "classes", "speakers"),
    [
        ("EMO-DB", ("wav/03a01Fa.wav", "wav/08b03Lb.wav"), ("Happiness", "Other"), ("03", "08")),
        ("CREMA-D", ("1001_DFA_ANG_XX.wav", "1002_IEO_NEU_LO.wav"), ("Anger", "Neutral"), None),
        ("SAVEE", ("DC_sa01.wav", "JE_su12.wav"), ("Sadness", "Surprise"), ("DC", "JE")),
        ("SAVEE", ("A/DC/a01.wav", "A/JE/a01.wav"), ("Anger", "Anger"), ("DC", "JE")),
        ("TESS", ("OAF_back_ps.wav", "OA_bite_neutral.wav"), ("Surprise", "Neutral"), ("OA", "OA")),
        (
            "RAVDESS",
            ("03-01-02-01-01-01-07.wav", "03-01-05-01-01-01-08.wav"),
            ("Other", "Anger"),
            ("07", "08"),
        ),
    ],
)
def test_names_of_a_corpus_tell_emotion_and_speaker(root, corpus, names, classes, speakers):
    rows, told = found(root(*names))
    assert sorted(row[0] for row in rows.values()) == sorted(classes)
    assert sorted(row[1] for row in rows.values()) == sorted(speakers or ("1001", "1002"))
    assert f"are named as those of {corpus}" in told
    assert ("taken as the class Other" in told) == ("Other" in classes)
    assert ("`dataset: ravdess` keeps calm apart" in told) == (corpus == "RAVDESS")


def test_a_table_wins_over_names_and_its_words_become_one_class_each(root):
    lines = "u0.wav,ang,s0,Train\nclips/u1.wav,Angry,s1,dev\nu2,ANGER,s2,Test2\n/x/u3.wav,joy,s3,\n"
    place = root("clips/u0.wav", "clips/u1.wav", "u2.wav", "u3.wav", metadata=TABLE + lines)
    rows, told = found(place)
    assert rows["u0"] == ("Anger", "s0", "train")
    assert rows["u1"] == ("Anger", "s1", "val")
    assert rows["u2"] == ("Anger", "s2", "test")
    assert rows["u3"][:2] == ("Happiness", "s3")
    assert "Anger 3 (ang, Angry, ANGER)" in told


def test_several_tables_are_one_split_each_by_their_names_and_contradictions_are_told(root):
    head = "path,label\n"
    place = root("a.wav", "b.wav", train=head + "a,sad\n", test_2=head + "b,joy\na,joy\n")
    rows, told = found(place)
    assert (rows["a"][0], rows["b"][::2]) == ("Happiness", ("Happiness", "test"))
    assert "1 recordings have another row in another table: a" in told
    assert "its name says that its recordings are in train" in told
    assert "unlabelled" not in told


def test_words_that_are_not_known_are_told_and_leave_recordings_unlabelled(root):
    lines = "a,angry,x,train\nb,4,y,train\nc,xxx,z,train\nd,boredom,w,train\n"
    rows, told = found(root(*(f"{name}.wav" for name in "abcd"), labels=TABLE + lines))
    assert [rows[name][0] for name in "abcd"] == ["Anger", "", "", "Other"]
    assert "'4' (1)" in told
    assert "rows without an emotion: xxx (1)" in told
    assert "boredom is no class here" in told


def test_a_person_in_two_splits_of_a_table_stops_the_run(root):
    lines = "a,angry,x,train\nb,sad,x,val\n"
    place = root("a.wav", "b.wav", labels=TABLE + lines)
    given = {"dataset": "folder", "data_root": str(place), "processed_root": str(place / "p")}
    from lib import datasets

    with pytest.raises(InputError, match="subject x is in train and in val"):
        datasets.find(parameters.placed(parameters.complete(given)))


def test_rows_and_recordings_without_their_counterpart_and_doubled_rows_are_told(root):
    lines = "a,angry,x,\na,sad,x,\nabsent,sad,y,\nsame,sad,y,\n"
    place = root("a.wav", "left.wav", "1/same.wav", "2/same.wav", labels=TABLE + lines)
    rows, told = found(place)
    assert rows["a"][0] == ""
    assert "1 recordings have several rows that differ: a" in told
    assert "1 names in it are those of several recordings: same" in told
    assert "1 of 4 rows fit no recording: absent" in told
    assert "left" in told


def test_msp_podcast_gives_letters_splits_and_ratings_on_their_scale(root):
    lines = (
        "FileName,EmoClass,EmoAct,EmoVal,SpkrID,Split_Set\nM_1.wav,A,7.0,1.0,4,Train\n"
        "M_2.wav,X,4.0,4.0,Unknown,Development\nM_3.wav,H,1,4,5,Test1\n"
    )
    place = root(*(f"Audios/M_{number}.wav" for number in (1, 2, 3)), labels_consensus=lines)
    rows, told = found(place)
    assert rows["M_1"] == ("Anger", "4", "train")
    assert rows["M_2"] == ("", "M_2", "val")
    assert rows["M_3"] == ("Happiness", "5", "test")
    assert "valence and arousal are not used" in told
    table, _ = folder.find(place, label_range=[1, 7])
    assert table["va_path"].tolist() == ["::=-1,1", "::=0,0", "::=0,-1"]


def test_iemocap_is_read_with_a_session_as_subject(root):
    place = root(*(f"Session{n}/wav/Ses0{n}F_impro01_{w}000.wav" for n in (1, 2) for w in "FM"))
    for number in (1, 2):
        texts = place / f"Session{number}/dialog/EmoEvaluation"
        texts.mkdir(parents=True)
        start = f"Ses0{number}F_impro01"
        (texts / f"{start}.txt").write_text(
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            f"[6.2901 - 8.2357]\t{start}_F000\tneu\t[5.0000, 3.0000, 2.5000]\nC-E2:\tNeutral;\t()\n"
            f"[8.2901 - 9.2357]\t{start}_M000\texc\t[1.0000, 3.0000, 2.5000]\n"
        )
    rows, told = found(place)
    assert rows["Ses01F_impro01_F000"][:2] == ("Neutral", "Ses01")
    assert rows["Ses01F_impro01_M000"][:2] == ("Other", "Ses01")
    assert "a session counts as one subject" in told
    assert "exc is no class here" in told


def test_folders_called_as_emotions_are_labels_and_unknown_speakers_are_told(root):
    rows, told = found(root("Angry/1.wav", "Angry/2.wav", "neutral/1.wav", "neutral/3.wav"))
    assert {row[0] for row in rows.values()} == {"Anger", "Neutral"}
    assert "nothing tells who speaks in 4 of 4" in told
    rows, told = found(root(*(f"spk_{n}/{w}/x{n}{w}.wav" for n in (1, 2) for w in ("sad", "joy"))))
    assert "spk_1" in {row[1] for row in rows.values()}


def test_folders_beside_those_of_emotions_are_taken_as_speakers_which_is_told(root):
    names = (f"{who}/{what}/train/{who}_{what}.wav" for who in ("01", "02") for what in EMOTIONS)
    rows, told = found(root(*names))
    assert {row[1] for row in rows.values()} == {"01", "02"}
    assert "2 folders beside these count as who speaks (01, 02)" in told


def test_ratings_from_0_to_1_and_a_single_speaker_are_told(root):
    lines = "file,valence,arousal,speaker\na,0.2,0.9,x\nb,0.5,0.1,x\n"
    place = root("a.wav", "b.wav", ratings=lines)
    table, report = folder.find(place)
    told = " ".join(report.problem_table()["what"])
    assert table["va_path"].tolist() == ["::=0.2,0.9", "::=0.5,0.1"]
    assert "lie in 0.1 … 0.9" in told
    assert "2 recordings have one valence and one arousal" in told


def test_one_speaker_alone_leaves_val_empty_which_is_told(root):
    _, told = found(root("DC_a01.wav", "DC_h01.wav"))
    assert "val no labelled recording is in it, of 1 persons" in told


def test_names_of_videos_tell_their_emotion_too(root, clip):
    place = root()
    for name in ("1001_DFA_ANG_XX.mp4", "1002_DFA_SAD_XX.mp4"):
        (place / name).write_bytes(clip)
    rows, _ = found(place)
    assert [row[:2] for row in rows.values()] == [("Anger", "1001"), ("Sadness", "1002")]


def test_a_class_that_only_val_has_is_told(root):
    lines = "a,angry,x,train\nb,sad,y,val\n"
    _, told = found(root("a.wav", "b.wav", labels=TABLE + lines))
    assert "Sadness is in val and not in train" in told


def test_sound_files_beside_videos_are_no_recordings_and_alone_they_are(root, clip):
    place = root("angry/a.wav", "sad/b.wav")
    rows, told = found(place)
    assert set(rows) == {"a", "b"}
    assert "b is a copy of a, byte by byte" in told
    (place / "v.mp4").write_bytes(clip)
    assert set(found(place)[0]) == {"v"}


def test_speech_in_nist_sphere_is_a_sound_and_damaged_files_are_told(root):
    header = "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 8000\nsample_rate -i 16000\n"
    header += "sample_n_bytes -i 2\nsample_byte_format -s2 01\nend_head\n"
    place = root("angry/a.wav")
    (place / "sad").mkdir()
    (place / "sad" / "b.WAV").write_bytes(header.encode().ljust(1024) + bytes(16_000))
    (place / "sad" / "c.wav").write_bytes(b"")
    assert kinds.kind(place / "sad" / "b.WAV") == "sound"
    rows, told = found(place)
    assert (rows["a"][0], rows["b"][0]) == ("Anger", "Sadness")
    assert "c the file is empty" in told


def test_a_folder_of_sound_files_counts_as_data(root):
    place = root("angry/a.wav")
    values = {"dataset": "folder", "data_root": str(place), "processed_root": str(place / "p")}
    assert experiment.absent_data(parameters.complete(values)) == ""
