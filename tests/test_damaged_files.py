"""At least 40 damaged or odd files in one data set: each is told by its kind, and the other trials never notice.

`KINDS` says for each what the report must name; no kind covers more than ten of them.
"""

import pickle
import shutil
from collections import Counter

import av
import cv2
import numpy as np
import pytest

from lib import arrays, data_check, media
from lib.cluster import map as over
from lib.datasets import affwild2
from lib.errors import InputError
from lib.store import Store, request

FRAMES = 12
WANTED = (request("time"), request("face_valid"), request("pixels"), request("audio_44k", rate=44100),
          request("va", mismatch="fit"))
GOOD = ("good1", "good2")


def video(path, times=None, sound=True, side=64):
    times = np.arange(FRAMES) / 25 if times is None else np.asarray(times)
    noise = np.random.default_rng(1)
    pictures = (noise.integers(0, 255, (side, side, 3), np.uint8) for _ in times)
    waveform = np.sin(np.arange(int(0.5 * 44100)) / 9).astype(np.float32) / 2 if sound else None
    return media.write_video(path, pictures, times, waveform)


def healthy(root, trial, clip):
    for name, content in ((f"batch1/{trial}.mp4", clip),
                          (f"VA_Set/Train_Set/{trial}.txt", b"valence,arousal\n" + b"0.1,-0.2\n" * FRAMES)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder = root / "cropped_aligned" / trial
    folder.mkdir(parents=True)
    for k in range(FRAMES):
        cv2.imwrite(str(folder / f"{k + 1:05d}.jpg"), np.full((32, 32, 3), 20 * k, np.uint8))


def clip_of(root, trial):
    return root / f"batch1/{trial}.mp4"


def labels_of(root, trial):
    return root / f"VA_Set/Train_Set/{trial}.txt"


def crop_of(root, trial, number=3):
    return root / f"cropped_aligned/{trial}/{number:05d}.jpg"


def bytes_of(place, change):
    """A damage that changes the bytes of a file."""
    def damage(root, trial):
        path = place(root, trial)
        path.write_bytes(change(path.read_bytes()))
    return damage


def rows(change):
    """A damage that changes the text of a label file."""
    return bytes_of(labels_of, lambda content: change(content.decode()).encode("latin1"))


def made(**options):
    return lambda root, trial: video(clip_of(root, trial), **options)


def sound_only(root, trial):
    with av.open(str(clip_of(root, trial)), "w", format="mp4") as container:
        track = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(track.encode(frame))
        container.mux(track.encode(None))


def flipped(content):
    """Every 40th byte of the coded pictures changed; the index in front stays whole."""
    damaged = bytearray(content)
    for k in range(len(damaged) // 2, len(damaged), 40):
        damaged[k] ^= 0xFF
    return bytes(damaged)


def crop(change):
    def damage(root, trial):
        change(crop_of(root, trial))
    return damage


def alignment(content):
    """The trial's crops are replaced by an alignment file of the TSAV database."""
    def damage(root, trial):
        shutil.rmtree(root / "cropped_aligned" / trial)
        folder = root / "aff2_processed"
        folder.mkdir(exist_ok=True)
        name = f"{int(trial):03d}_AU0__EX0__VA1_"
        (folder / f"{name}_alignment_mask.pkl").write_bytes(content)
        (folder / f"{name}.mp4meta.json").write_text(f'{{"original_video": "{trial}.mp4"}}')
    return damage


def no_openface_table(root, trial):
    folder = root / "processed" / f"{trial}_aligned"
    folder.mkdir(parents=True)
    crop_of(root, trial, 1).rename(folder / "frame_det_00_000001.bmp")
    shutil.rmtree(root / "cropped_aligned" / trial)


class Evil:
    def __reduce__(self):
        return print, ("run",)


# kind of fault -> the words that the report must have; name of the damage -> (what is done, kind)
WORDS = {"empty": "the file is empty (0 bytes)", "no recording": "not a recording", "cut": "does not decode",
         "claims": "the container claims 12 frames",
         "no picture": "no video track", "no sound": "no audio track", "uneven": "variable",
         "few frames": "only 1 frame", "rows": "label rows, ", "no text": "not a text file", "no labels": "is empty",
         "header": "header", "columns": "columns", "no number": " in column ", "crop": "cannot be read",
         "sizes": "sizes", "beyond": "outside the video", "no crop number": "has a number for a name",
         "twice": "two cropped faces of one number", "empty crops": "is empty",
         "no video": "but no video", "pickle": "this pickle is", "alignment": "alignment file",
         "openface": "OpenFace's table", "two videos": "two videos of one name", "outside": "leaves the data root",
         "accepted": ""}
KINDS = {
    "zero bytes": (bytes_of(clip_of, lambda b: b""), "empty"),
    "text called mp4": (bytes_of(clip_of, lambda b: b"a text file\n" * 50), "no recording"),
    "random bytes": (bytes_of(clip_of, lambda b: np.random.default_rng(0).bytes(5000)), "no recording"),
    "cut inside the header": (bytes_of(clip_of, lambda b: b[:200]), "no picture"),
    "first bytes gone": (bytes_of(clip_of, lambda b: b[300:]), "no recording"),
    "zeros only": (bytes_of(clip_of, lambda b: bytes(4000)), "no recording"),
    "cut at a third": (bytes_of(clip_of, lambda b: b[:len(b) // 3]), "claims"),
    "cut at a half": (bytes_of(clip_of, lambda b: b[:len(b) // 2]), "claims"),
    "cut near the end": (bytes_of(clip_of, lambda b: b[:len(b) * 4 // 5]), "claims"),
    "flipped bytes": (bytes_of(clip_of, flipped), "cut"),
    "only sound": (sound_only, "no picture"),
    "only picture": (made(sound=False), "no sound"),
    "variable rate": (made(times=np.cumsum([0, *[0.02, 0.09] * 5, 0.04])), "uneven"),
    "one frame": (made(times=[0]), "few frames"),
    "1 fps": (made(times=np.arange(FRAMES)), "accepted"),
    "120 fps": (made(times=np.arange(FRAMES) / 120), "accepted"),
    "odd size": (made(side=63), "accepted"),
    "twice as long": (made(times=np.arange(2 * FRAMES) / 25), "rows"),
    "half the labels": (rows(lambda t: "".join(t.splitlines(True)[:6])), "rows"),
    "many more labels": (rows(lambda t: t + "0.1,0.1\n" * 9), "rows"),
    "one label too many": (rows(lambda t: t + "0.1,0.1\n"), "rows"),
    "labels empty": (rows(lambda t: ""), "no labels"),
    "labels binary": (bytes_of(labels_of, lambda b: bytes(range(128, 255))), "no text"),
    "labels latin1": (rows(lambda t: t + "ü"), "no text"),
    "no header": (rows(lambda t: t.split("\n", 1)[1]), "header"),
    "other header": (rows(lambda t: t.replace("valence,arousal", "a,b")), "header"),
    "header swapped": (rows(lambda t: t.replace("valence,arousal", "arousal,valence")), "header"),
    "extra column": (rows(lambda t: t.replace("0.1,-0.2", "0.1,-0.2,1", 1)), "columns"),
    "semicolons": (rows(lambda t: t.replace("0.1,", "0.1;")), "columns"),
    "hole in the labels": (rows(lambda t: t.replace("\n0.1", "\n\n0.1", 2)), "columns"),
    "a word": (rows(lambda t: t.replace("0.1", "none", 1)), "no number"),
    "beyond one": (rows(lambda t: t.replace("0.1", "1.1", 1)), "no number"),
    "not a number": (rows(lambda t: t.replace("0.1", "nan", 1)), "no number"),
    "byte-order mark": (rows(lambda t: "\xef\xbb\xbf" + t), "accepted"),
    "Windows line ends": (rows(lambda t: t.replace("\n", "\r\n")), "accepted"),
    "blank tail": (rows(lambda t: t + "\n\n \n"), "accepted"),
    "crop cut": (bytes_of(crop_of, lambda b: b[:len(b) * 2 // 3]), "crop"),
    "crop empty": (bytes_of(crop_of, lambda b: b""), "crop"),
    "crop is text": (bytes_of(crop_of, lambda b: b"no picture"), "crop"),
    "crop of another size": (crop(lambda p: cv2.imwrite(str(p), np.zeros((50, 40, 3), np.uint8))), "sizes"),
    "hole in the crops": (crop(lambda p: p.unlink()), "accepted"),
    "crop beyond the end": (crop(lambda p: p.rename(p.with_name("00099.jpg"))), "beyond"),
    "crop number zero": (crop(lambda p: p.rename(p.with_name("00000.jpg"))), "beyond"),
    "crop twice": (crop(lambda p: shutil.copy(p, p.with_name("3.png"))), "twice"),
    "crops without numbers": (crop(lambda p: [q.rename(q.with_name(f"a{q.name}")) for q in p.parent.iterdir()]),
                              "no crop number"),
    "empty crop folder": (crop(lambda p: [q.unlink() for q in p.parent.iterdir()]), "empty crops"),
    "video missing": (lambda root, trial: clip_of(root, trial).unlink(), "no video"),
    "pickle that runs code": (alignment(pickle.dumps({"frame": Evil()})), "pickle"),
    "pickle cut": (alignment(pickle.dumps({"frame": [1] * 99})[:-30]), "pickle"),
    "pickle of something else": (alignment(pickle.dumps([1, 2])), "alignment"),
    "alignment of another video": (alignment(pickle.dumps({"frame": [None] * 40, "mask": [None] * 40})), "alignment"),
    "OpenFace without its table": (no_openface_table, "openface"),
    "another video of that name": (lambda root, trial: shutil.copytree(root / "batch1", root / "batch2",
                                                                       ignore=lambda d, names: names) and
                                   (root / f"batch2/{trial}.avi").write_bytes(b"other"), "two videos"),
    "a line that leads out": (lambda root, trial: (root / "test_set_VA.txt").write_text(f"../../{trial}\n"), "outside"),
}
TRIALS = {name: str(number) for number, name in enumerate(KINDS, start=100)}


def look(root, processed):
    """What 01 to 04 do: the report's text by trial, and the bytes of all arrays."""
    table, report = affwild2.find(root)
    place = Store(processed, "set", root)
    checks = [data_check.check_trial(trial, place) for trial in table.to_dict("records")]
    data_check.tell(over(dict, checks), report)
    lost = {}
    for trial in table.to_dict("records"):
        for wanted in WANTED:
            try:
                arrays.make(trial, wanted, place)
            except InputError as error:
                lost.setdefault(trial["trial"], []).append(str(error))
    told = {}
    for row in report.problem_table().itertuples():
        told[row.item] = f"{told.get(row.item, '')}\n{row.what} {row.where}"
    for row in checks:
        told[row["trial"]] = f"{told.get(row['trial'], '')}\n{row['rate']}"
    files = {path.relative_to(processed).as_posix(): path.read_bytes() for path in processed.rglob("*.npy")}
    return told, lost, files


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """(report, lost, arrays) of a set with all damaged files beside the good ones, and of one with the good alone."""
    folder = tmp_path_factory.mktemp("damaged")
    clip = video(folder / "clip.mp4").read_bytes()
    for name, trials in (("clean", GOOD), ("damaged", (*GOOD, *TRIALS.values()))):
        for trial in trials:
            healthy(folder / name, trial, clip)
    for name, (damage, _) in KINDS.items():
        damage(folder / "damaged", TRIALS[name])
    return {name: look(folder / name, folder / f"{name}-processed") for name in ("clean", "damaged")}


def test_there_are_enough_damages_and_no_kind_covers_more_than_ten():
    kinds = Counter(kind for _, kind in KINDS.values())
    assert len(KINDS) >= 40
    assert max(kinds.values()) <= 10
    assert set(kinds) <= set(WORDS)


@pytest.mark.parametrize("name", KINDS)
def test_the_report_names_the_kind_of(sets, name):
    told, lost, _ = sets["damaged"]
    kind, trial = KINDS[name][1], TRIALS[name]
    text = told.get(trial, "") + told.get("test_set_VA.txt", "") * (kind == "outside")
    assert WORDS[kind] in text
    if kind == "accepted":
        assert trial not in lost
        assert not text.replace("constant", "").strip() or name == "1 fps"  # its sound is shorter than its picture


def test_the_arrays_of_every_other_trial_are_equal_to_the_byte(sets):
    clean, damaged = sets["clean"][2], sets["damaged"][2]
    assert len(clean) == len(GOOD) * len(WANTED)
    assert clean == {place: damaged[place] for place in clean}
    assert not set(GOOD) & set(sets["damaged"][1])
