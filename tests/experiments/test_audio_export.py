"""One wav per frame: right pieces, told before, taken up again, never mixed."""

import io
import os
import wave

import numpy as np
import pytest
from click.testing import CliRunner

from lib import __main__, arrays, files, trials
from lib.errors import InputError
from lib.experiments import exports
from lib.media import sound, writing
from lib.store import request
from tests.leftovers import left_beside


@pytest.fixture
def prepared(opened):
    """The sample set after notebooks 01 and 03, with its parameters as words of a command line."""
    trials.write(opened.table, opened.store.trials_path)
    for trial in opened.table.drop_duplicates("video").to_dict("records"):
        arrays.make_all(trial, exports.EXPORT_REQUESTS, opened.store)
    return opened


def call(opened, tmp_path, *words):
    file = tmp_path / "experiment.yaml"
    file.write_text(
        f"dataset: sample\nsample_trials: 6\nsample_seconds: 2.0\nworkers: 1\n"
        f"data_root: {opened.root.parent}\nprocessed_root: {opened.store.processed_root}\n"
    )
    return CliRunner().invoke(__main__.main, ["export-audio", str(file), *map(str, words)])


def content(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 44100)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def sound_of(opened, name):
    return (
        read(opened.trial(name), exports.SOUND_REQUEST, opened.store)
        for read in (arrays.read, arrays.facts)
    )


def test_every_frame_of_every_video_has_its_wav_from_1_on(prepared, tmp_path):
    out = tmp_path / "wavs"
    done = call(prepared, tmp_path, "--out", out, "-p", "rules", "published")
    assert done.exit_code == 0, done.output
    for trial in prepared.table.drop_duplicates("video").to_dict("records"):
        times = np.asarray(prepared.read(trial["trial"], request("time")))
        names = sorted(path.name for path in (out / trial["video"]).iterdir())
        assert names == sorted(f"{k + 1}.wav" for k in range(len(times)))
    # Frame 40 of trial 3, whose sound starts 80 ms late: from frame 9's stamp to its own, by hand.
    samples, facts = sound_of(prepared, "3")
    times = prepared.read("3", request("time"))
    first, last = (
        round(times[k] * 44100) - round((facts["t0"] - times[0]) * 44100) for k in (8, 39)
    )
    assert np.array_equal(content(out / "3" / "40.wav"), samples[max(first, 0) : last])
    assert facts["t0"] > 0.05


def test_corrected_wavs_are_the_sound_round_the_frame_with_silence_outside(prepared, tmp_path):
    call(prepared, tmp_path, "--out", tmp_path / "wavs", "-p", "audio_seconds", "1.0")
    heard = content(tmp_path / "wavs" / "3" / "1.wav")
    samples, facts = sound_of(prepared, "3")
    late = (
        round(facts["t0"] * 100) * 441
    )  # frame 1 is at 0 s: half a second and the late start are silent
    assert len(heard) == 44100
    assert not heard[: 22050 + late - 441].any()
    off = [
        np.abs(heard[22050 + late + k :][:9000].astype(int) - samples[:9000]).max()
        for k in range(-441, 442)
    ]
    assert min(off) == 0


def test_count_and_size_are_told_before_and_are_right(prepared, tmp_path):
    out = tmp_path / "wavs"
    told = call(prepared, tmp_path, "--out", out, "--only-tell").output
    assert not out.exists()
    call(prepared, tmp_path, "--out", out)
    files = list(out.rglob("*.wav"))
    on_disk = sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    assert f"{len(files)} wav files to write, {on_disk / 1e9:.2f} GB" in told
    assert "GB free" in told


def test_what_is_there_is_not_written_again_and_what_is_missing_is(prepared, tmp_path):
    out = tmp_path / "wavs"
    call(prepared, tmp_path, "--out", out)
    kept, lost = out / "4" / "3.wav", out / "4" / "7.wav"
    before, whole = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    left_beside(out / "4" / "frame.wav")
    left_beside(out / "4.json")
    theirs = out / "4" / f".frame.wav.{os.getpid()}-{files.MACHINE}01234567.part"
    theirs.write_bytes(b"of a process that runs")
    done = call(prepared, tmp_path, "--out", out)
    assert ": 1 wav files to write" in done.output
    assert (kept.stat().st_mtime_ns, lost.read_bytes()) == (before, whole)
    assert list(out.rglob("*.part")) == [theirs]
    assert ": 0 wav files to write" in call(prepared, tmp_path, "--out", out).output


def test_files_of_two_rules_are_never_mixed(prepared, tmp_path):
    call(prepared, tmp_path, "--out", tmp_path / "wavs")
    done = call(prepared, tmp_path, "--out", tmp_path / "wavs", "-p", "rules", "published")
    assert done.exit_code == 2
    assert "files of another kind" in done.output


def test_a_video_without_sound_is_named_and_the_others_are_done(prepared, tmp_path):
    table = prepared.table.copy()
    table.loc[table["trial"] == "4", "audio_path"] = ""
    trials.write(table, prepared.store.trials_path)
    done = call(prepared, tmp_path, "--out", tmp_path / "wavs")
    assert done.exit_code == 3
    assert "4: this video has no audio track" in done.output
    folders = sorted(path.name for path in (tmp_path / "wavs").iterdir() if path.is_dir())
    assert folders == ["1", "2-25-640x240", "3", "5"]


def test_without_room_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="are free"):
        exports.check_space(tmp_path / "not" / "there", 10**18)


def test_the_rule_follows_the_parameters():
    assert exports.rule("published", 10.0, [25.0]) == exports.Rule("published")
    assert exports.rule("corrected", 10.0, [25.0]) == exports.Rule("centre", 10.0)
    assert exports.rule("corrected", 0.0, [30.0, 25.0]) == exports.Rule("end", 1.28)


def test_a_wav_holds_the_samples():
    samples = np.array([0, 1, -1, 32767], np.int16)
    with wave.open(io.BytesIO(writing.wav(samples, sound.SOUND_RATE))) as file:
        assert file.readframes(9) == samples.astype("<i2").tobytes()
    assert len(writing.wav(samples, sound.SOUND_RATE)) == exports.HEADER + 8
