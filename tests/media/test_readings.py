"""What is not ordinary in a recording stands in the names of the arrays that it changes; all others
keep the names that they had before there were such words.
"""

import numpy as np
import pytest

from lib import arrays, files, store
from lib.datasets import check
from lib.errors import InputError
from lib.media import readings, tracks, writing
from lib.store import Store, request
from tests.films import ONE, Sound, buzz, recorded, turned

RATE = 48_000
TIME, FACE, PIXELS = request("time"), request("face", size=16), request("pixels")
VALID, SOUND, LOUD = (
    request("face_valid"),
    request("audio_16k", rate=16_000),
    request("loudness"),
)
WANTED = [TIME, FACE, PIXELS, VALID, SOUND, LOUD]
VERSIONS = {"time": 1, "face": 3, "pixels": 3, "face_valid": 1, "audio_16k": 1, "loudness": 1}
VOICE = buzz(1.0, RATE)


def stereo(*columns):
    return Sound(np.hstack(columns), "stereo", "flac", RATE)


def mirrored(path):
    recorded(path, [Sound(VOICE, "mono", "aac", RATE)], n=5)
    return turned(path, (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30))


FILMS = {
    "plain.mp4": lambda path: recorded(path, [Sound(VOICE, "mono", "aac", RATE)], n=5),
    "stereo.mkv": lambda path: recorded(path, [stereo(VOICE, VOICE)], n=5),
    "ts.mpg": lambda path: recorded(
        path, [Sound(VOICE, "mono", "mp2", RATE, 1.48)], n=5, first=1.48, format="mpegts"
    ),
    "mirror.mp4": mirrored,
    "two.mkv": lambda path: recorded(
        path,
        [Sound(0 * VOICE, "mono", "flac", RATE), Sound(VOICE, "mono", "flac", RATE, default=True)],
        n=5,
    ),
    "phase.mkv": lambda path: recorded(path, [stereo(VOICE, -VOICE)], n=5),
}
# The arrays whose numbers are others than by the rules before, by film.
CHANGED = {
    "plain.mp4": set(),
    "stereo.mkv": set(),
    "ts.mpg": {"time", "face", "pixels", "face_valid", "audio_16k", "loudness"},
    "mirror.mp4": {"face", "pixels"},
    "two.mkv": {"audio_16k", "loudness"},
    "phase.mkv": {"audio_16k", "loudness"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for name, make in FILMS.items():
        make(folder / name)
    return folder


@pytest.fixture
def place(root, tmp_path):
    return Store(tmp_path / "processed", "films", root, "centre")


def trial(name, **more):
    stem = name.split(".")[0]
    row = {"trial": stem, "video": stem, "person": "", "crops_dir": "", "video_path": name}
    return {**row, "audio_path": name, **more}


def before(name, wanted, place):
    """`made_from` of an array as it was before recordings had fields of their own."""
    parameters, digits = dict(wanted.parameters), {}
    if wanted.name in ("face", "pixels", "face_valid"):
        parameters["faces"] = "centre"
    if wanted.name == "loudness":
        sound = request("audio_44k", rate=44_100)
        digits["sound"] = {"array": store.digest(before(name, sound, place))}
    if wanted.name != "time" and not wanted.name.startswith("audio"):
        digits["time"] = {"array": store.digest(before(name, TIME, place))}
    if wanted.name != "loudness":
        digits["video"] = store.fingerprint(place.data_root / name)
    version = VERSIONS.get(wanted.name, 1)
    return {"name": wanted.name, "parameters": parameters, "version": version, "inputs": digits}


def write_old(name, place):
    """A store of the commit before: every array under the name that it had."""
    for wanted in [*WANTED, request("audio_44k", rate=44_100)]:
        owner = "trial" if wanted.name in ("face", "pixels", "face_valid") else "video"
        shelf = place.shelf(owner, trial(name)[owner])
        old = {"t0": 0.0, "rate": 44_100}
        shelf.write(before(name, wanted, place), np.zeros(5, np.float64), **old)


@pytest.mark.parametrize("name", FILMS)
def test_a_store_of_before_is_used_where_its_numbers_hold_and_made_anew_where_not(name, place):
    write_old(name, place)
    rows = {row["array"].split("(")[0]: row for row in arrays.make_all(trial(name), WANTED, place)}
    anew = {array for array, row in rows.items() if row["state"] == "made anew"}
    assert anew == CHANGED[name]
    assert {row["state"] for array, row in rows.items() if array not in anew} <= {"there"}
    assert all("made anew: " in rows[array]["note"] for array in anew)
    again = arrays.make_all(trial(name), WANTED, place)
    assert {row["state"] for row in again} == {"there"}


@pytest.mark.parametrize("name", ["plain.mp4", "stereo.mkv"])
def test_an_ordinary_recording_keeps_the_names_of_its_arrays(name, place):
    for wanted in WANTED:
        assert arrays.locate(trial(name), wanted, place).made_from == before(name, wanted, place)


def test_what_is_not_ordinary_is_named(place):
    found = {name: readings.fields(trial(name), place) for name in FILMS}
    assert found["plain.mp4"] == found["stereo.mkv"] == {}
    assert found["ts.mpg"] == {"origin": 1.48}
    assert found["mirror.mp4"] == {"display": "mirrored"}
    assert found["two.mkv"] == {"track": 2}
    assert found["phase.mkv"] == {"channels": "stereo: 0.5 -0.5"}
    assert "1.48 s" in readings.notes(trial("ts.mpg"), place)[0]
    assert readings.notes(trial("plain.mp4"), place) == []


@pytest.mark.parametrize("name", FILMS)
def test_a_machine_without_the_recordings_finds_the_same_arrays(name, place, tmp_path):
    write_old(name, place)
    arrays.make_all(trial(name), WANTED, place)
    away = Store(place.processed_root, place.dataset, tmp_path / "elsewhere", "centre")
    readings._KNOWN.clear()
    for wanted in WANTED:
        here = arrays.locate(trial(name), wanted, place).path
        assert arrays.locate(trial(name), wanted, away).path == here


def test_what_was_heard_is_not_heard_again(place, monkeypatch):
    readings.of_sound(trial("two.mkv"), place)
    readings._KNOWN.clear(), tracks._KNOWN.clear()
    monkeypatch.setattr(tracks, "_listened", lambda path: pytest.fail("decoded twice"))
    assert readings.of_sound(trial("two.mkv"), place) == {"track": 2}
    arrays.make(trial("two.mkv"), SOUND, place)


def test_a_recording_that_was_replaced_is_looked_at_anew(place, tmp_path):
    moved = Store(place.processed_root, "films", tmp_path, "centre")
    for name, right in (("two.mkv", {"track": 2}), ("phase.mkv", {"channels": "stereo: 0.5 -0.5"})):
        (tmp_path / "a.mkv").write_bytes((place.data_root / name).read_bytes())
        assert readings.fields(trial("a.mkv"), moved) == right


def test_a_store_that_cannot_be_written_is_read_as_well(place, monkeypatch):
    def refused(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(files, "write_text", refused)
    assert readings.fields(trial("two.mkv"), place) == {"track": 2}


def test_another_track_makes_other_sound_and_no_other_faces(place):
    other = Store(place.processed_root, "films", place.data_root, "centre", audio_track=1)
    for wanted in WANTED:
        paths = {arrays.locate(trial("two.mkv"), wanted, each).path for each in (place, other)}
        assert len(paths) == (2 if wanted in (SOUND, LOUD) else 1)
    third = Store(place.processed_root, "films", place.data_root, "centre", audio_track=3)
    with pytest.raises(InputError, match="track 3 is asked for"):
        arrays.make(trial("two.mkv"), SOUND, third)
    assert readings.fields(trial("two.mkv"), third) == {}


def test_the_numbers_are_those_that_the_words_promise(place):
    for name in FILMS:
        arrays.make_all(trial(name), WANTED, place)
        samples = np.asarray(arrays.read(trial(name), SOUND, place)) / 32767
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.std(VOICE), rel=0.1)
        assert arrays.read(trial(name), TIME, place)[0] == pytest.approx(0, abs=1e-6)
    left, right = (
        np.asarray(arrays.read(trial(name), PIXELS, place)).astype(int)
        for name in ("plain.mp4", "mirror.mp4")
    )
    assert np.abs(left - right[:, :, ::-1]).max() <= 3
    assert np.abs(left - right).max() > 30


def test_02_and_03_say_what_is_not_ordinary_once(place):
    for name, wanted, words in (
        ("ts.mpg", [VALID, FACE], "begins at 1.48 s"),
        ("mirror.mp4", [FACE, PIXELS], "is mirrored"),
        ("two.mkv", [LOUD, SOUND], "2 sound tracks"),
        ("phase.mkv", [LOUD], "opposite phase"),
    ):
        notes = [row["note"] for row in arrays.make_all(trial(name), wanted, place)]
        assert sum(words in note for note in notes) == 1
    rows = arrays.make_all(trial("plain.mp4"), WANTED, place)
    assert not any(row["note"] for row in rows)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ts.mpg", "begins at 1.48 s"),
        ("mirror.mp4", "is mirrored"),
        ("two.mkv", "number 2 is taken"),
        ("phase.mkv", "opposite phase"),
        ("plain.mp4", ""),
    ],
)
def test_01_names_what_is_not_ordinary(name, words, place):
    paths = dict.fromkeys(("va_path", "expression_path", "action_units_path"), "")
    found = check.check_trial(trial(name, split="test", **paths), place)
    said = [fault["what"] for fault in found["faults"] if "ends +0.8" not in fault["what"]]
    assert len(said) == bool(words)
    assert all(words in sentence for sentence in said)
    third = Store(place.processed_root, "films", place.data_root, "centre", audio_track=3)
    found = check.check_trial(trial(name, split="test", **paths), third)
    assert "sound track 3 is asked for" in found["errors"]


# ---- a separate recorder


def test_a_sound_file_of_the_same_name_is_offered_and_taken_when_asked(tmp_path):
    from lib.datasets import recorder
    from lib.datasets.report import Report
    from lib.trials import table as trial_table

    recorded(tmp_path / "Lena.mp4", n=5)
    recorded(tmp_path / "own.mp4", [Sound(VOICE, "mono", "aac", RATE)], n=5)
    for name in ("lena.WAV", "own.wav", "other.wav"):
        (tmp_path / name).write_bytes(writing.wav(np.round(32767 * VOICE[:, 0]), RATE))
    rows = [
        {**trial(name), "dataset": "films", "split": "test", "subject": name}
        for name in ("Lena.mp4", "own.mp4")
    ]
    rows[0]["audio_path"] = ""
    found = {}
    for take in (False, True):
        report = Report()
        report.warning("Lena", "no audio track", "usable with modality: video only")
        table, _ = recorder.take(trial_table(rows), tmp_path, report, take)
        found[take] = table["audio_path"].tolist(), report.problem_table()
    assert found[False][0] == ["", "own.mp4"]
    assert found[True][0] == ["lena.WAV", "own.wav"]
    offered = " ".join(map(str, found[False][1].to_numpy().ravel()))
    assert "lena.WAV" in offered
    assert "separate_sound: true" in offered
    assert "other.wav" not in offered
    assert "no audio track" not in offered  # said twice, the second time with what to do
    taken = " ".join(map(str, found[True][1].to_numpy().ravel()))
    assert "lena.WAV is heard from its first sample on" in taken
    assert "own.wav is heard instead of the video's own sound, which tells where it" in taken
    place = Store(tmp_path / "processed", "films", tmp_path, "centre")
    heard = {**rows[0], "audio_path": "lena.WAV"}
    arrays.make(heard, SOUND, place)
    samples = np.asarray(arrays.read(heard, SOUND, place)) / 32767
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.std(VOICE), rel=0.1)
