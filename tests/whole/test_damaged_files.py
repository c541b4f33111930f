"""At least 40 damaged or odd files in one data set: each is told by its kind, and the other trials
never notice.

`KINDS` says for each what the report must name; no kind covers more than ten of them.
"""

import pickle
import shutil
import struct
from collections import Counter
from fractions import Fraction
from functools import partial

import av
import cv2
import numpy as np
import pytest

from lib import arrays
from lib.datasets import affwild2, check
from lib.errors import InputError
from lib.media import writing
from lib.parallel import map as over
from lib.store import Store, request
from tests import films

FRAMES = 12
WANTED = (
    request("time"),
    request("face_valid"),
    request("pixels"),
    request("audio_44k", rate=44100),
    request("va", mismatch="fit"),
)
GOOD = ("good1", "good2")


def video(path, times=None, sound=True, side=64):
    times = np.arange(FRAMES) / 25 if times is None else np.asarray(times)
    noise = np.random.default_rng(1)
    pictures = (noise.integers(0, 255, (side, side, 3), np.uint8) for _ in times)
    waveform = np.sin(np.arange(int(0.5 * 44100)) / 9).astype(np.float32) / 2 if sound else None
    return writing.write_video(path, pictures, times, waveform)


def healthy(root, trial, clip):
    for name, content in (
        (f"batch1/{trial}.mp4", clip),
        (f"VA_Set/Train_Set/{trial}.txt", b"valence,arousal\n" + b"0.1,-0.2\n" * FRAMES),
    ):
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


def coded(codec, pixels, container, interlaced=False, every=1, aspect=None):
    """The trial's recording, written by another encoder, in another container under the old
    name.
    """

    def damage(root, trial):
        with av.open(str(clip_of(root, trial)), "w", format=container) as out:
            track = out.add_stream(codec, rate=25)
            track.width, track.height, track.pix_fmt = 64, 64, pixels
            if aspect:
                track.codec_context.sample_aspect_ratio = aspect
            if interlaced:
                flags = av.codec.context.Flags
                track.codec_context.flags |= flags.interlaced_dct | flags.interlaced_me
            heard = out.add_stream("mp2", rate=44100, layout="mono")
            for k in range(FRAMES):
                picture = np.full((64, 64, 3), 15 * k, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
                frame.pts = k * every
                out.mux(track.encode(frame))
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 21168), np.int16), format="s16", layout="mono"
            )
            sound.sample_rate = 44100
            for each in (track.encode(None), heard.encode(sound), heard.encode(None)):
                out.mux(each)

    return damage


def time_goes_back(root, trial):
    """Two recordings of half the length, one behind the other, as a camera's splitter leaves
    them.
    """
    coded("mpeg2video", "yuv420p", "mpegts")(root, trial)
    clip_of(root, trial).write_bytes(clip_of(root, trial).read_bytes() * 2)


def turned(*matrix):
    """The recording asks a player to turn its picture by this matrix: a, b, c, d of ISO/IEC
    14496-12, 8.3.2.
    """

    def change(content):
        content, (a, b, c, d) = bytearray(content), matrix
        start = content.find(b"tkhd") + 44  # of the first track, the picture's
        content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        return bytes(content)

    return bytes_of(clip_of, change)


def long_and_cut(root, trial):
    """A file without an index in front, cut: nothing but its length in s tells."""
    coded("libx264", "yuv420p", "matroska", every=25)(root, trial)
    content = clip_of(root, trial).read_bytes()
    clip_of(root, trial).write_bytes(content[: len(content) // 2])


HALF = 46341  # of 65536: the sine of 45 degrees


def nobody(root, trial):
    """No crops, and nobody in the picture."""
    shutil.rmtree(root / "cropped_aligned" / trial)


def sound_only(root, trial):
    films.only_sound(clip_of(root, trial))


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


# Kind of fault -> the words by which a person knows it, wherever the report writes them. "accepted"
# is no fault: odd, but whole and told apart from nothing.
WORDS = {
    "empty": "the file is empty (0 bytes)",
    "no recording": "not a recording that can be read",
    "cut off": "cut off",
    "early": "the picture ends after",
    "damaged": "does not decode",
    "no picture": "no video track, only sound",
    "no sound": "no audio track",
    "uneven": "variable, ",
    "rate": "an unusual frame rate",
    "few frames": "only 1 frame",
    "back": "time stamps stand still or go back",
    "turned": "asks to turn the picture",
    "shape": "times as wide as high",
    "rows": "label rows, ",
    "no text": "not a text file",
    "no labels": "the label file is empty",
    "no header": "the header line is missing",
    "header": "unknown header",
    "columns": " columns",
    "blank": "an empty line",
    "no number": "is no number",
    "range": "is out of range",
    "crop": "cropped faces cannot be read",
    "sizes": "cropped faces of 2 sizes",
    "hole": "11 of 12",
    "beyond": "outside the video",
    "no crop number": "has a number for a name",
    "twice": "two cropped faces of one number",
    "empty crops": "its folder of cropped faces is empty",
    "no video": "but no video",
    "refused": "this pickle is refused: the file asks for builtins.print",
    "pickle": "this pickle is damaged",
    "alignment": "not an alignment file",
    "frames": "the alignment file has 40 frames, the video 12",
    "openface": "OpenFace's table cannot be read",
    "two videos": "two videos of one name",
    "outside": "leaves the data root",
    "nobody": "has no cropped faces",
    "accepted": "",
}
KINDS = {
    "zero bytes": (bytes_of(clip_of, lambda b: b""), "empty"),
    "text called mp4": (bytes_of(clip_of, lambda b: b"a text file\n" * 50), "no recording"),
    "random bytes": (
        bytes_of(clip_of, lambda b: np.random.default_rng(0).bytes(5000)),
        "no recording",
    ),
    "first bytes gone": (bytes_of(clip_of, lambda b: b[300:]), "no recording"),
    "zeros only": (bytes_of(clip_of, lambda b: bytes(4000)), "no recording"),
    "cut inside the header": (bytes_of(clip_of, lambda b: b[:200]), "cut off"),
    "cut at a third": (bytes_of(clip_of, lambda b: b[: len(b) // 3]), "cut off"),
    "cut at a half": (bytes_of(clip_of, lambda b: b[: len(b) // 2]), "cut off"),
    "cut near the end": (bytes_of(clip_of, lambda b: b[: len(b) * 4 // 5]), "cut off"),
    "no index, cut at a half": (long_and_cut, "early"),
    "flipped bytes": (bytes_of(clip_of, flipped), "damaged"),
    "only sound": (sound_only, "no picture"),
    "only picture": (made(sound=False), "no sound"),
    "variable rate": (made(times=np.cumsum([0, *[0.02, 0.09] * 5, 0.04])), "uneven"),
    "one frame": (made(times=[0]), "few frames"),
    "1 fps": (made(times=np.arange(FRAMES)), "rate"),
    "120 fps": (made(times=np.arange(FRAMES) / 120), "rate"),
    "time goes back": (time_goes_back, "back"),
    "turned by 45 degrees": (turned(HALF, HALF, -HALF, HALF), "turned"),
    "a huge rotation flag": (turned(0x7FFFFFFF, -0x7FFFFFFF, 0x7FFFFFF, 123), "turned"),
    "a rotation that is none": (turned(0, 0, 0, 0), "turned"),
    "pixels 20 times as wide as high": (
        coded("libx264", "yuv420p", "mp4", aspect=Fraction(20)),
        "shape",
    ),
    "pixels that are not square": (
        coded("libx264", "yuv420p", "mp4", aspect=Fraction(64, 45)),
        "accepted",
    ),
    "odd size": (made(side=63), "accepted"),
    "another container under the name mp4": (coded("libx264", "yuv420p", "matroska"), "accepted"),
    "10 bits a colour": (coded("libx264", "yuv420p10le", "mp4"), "accepted"),
    "interlaced": (coded("mpeg2video", "yuv420p", "mpeg", interlaced=True), "accepted"),
    "grey": (coded("ffv1", "gray", "avi"), "accepted"),
    "nobody in the picture, no crops": (nobody, "nobody"),
    "twice as long": (made(times=np.arange(2 * FRAMES) / 25), "rows"),
    "half the labels": (rows(lambda t: "".join(t.splitlines(True)[:6])), "rows"),
    "many more labels": (rows(lambda t: t + "0.1,0.1\n" * 9), "rows"),
    "one label too many": (rows(lambda t: t + "0.1,0.1\n"), "rows"),
    "labels empty": (rows(lambda t: ""), "no labels"),
    "labels binary": (bytes_of(labels_of, lambda b: bytes(range(128, 255))), "no text"),
    "labels latin1": (rows(lambda t: t + "ü"), "no text"),
    "no header": (rows(lambda t: t.split("\n", 1)[1]), "no header"),
    "other header": (rows(lambda t: t.replace("valence,arousal", "a,b")), "header"),
    "header swapped": (rows(lambda t: t.replace("valence,arousal", "arousal,valence")), "header"),
    "extra column": (rows(lambda t: t.replace("0.1,-0.2", "0.1,-0.2,1", 1)), "columns"),
    "semicolons": (rows(lambda t: t.replace("0.1,", "0.1;")), "columns"),
    "hole in the labels": (rows(lambda t: t.replace("\n0.1", "\n\n0.1", 2)), "blank"),
    "a word": (rows(lambda t: t.replace("0.1", "none", 1)), "no number"),
    "not a number": (rows(lambda t: t.replace("0.1", "nan", 1)), "no number"),
    "beyond one": (rows(lambda t: t.replace("0.1", "1.1", 1)), "range"),
    "byte-order mark": (rows(lambda t: "\xef\xbb\xbf" + t), "accepted"),
    "Windows line ends": (rows(lambda t: t.replace("\n", "\r\n")), "accepted"),
    "blank tail": (rows(lambda t: t + "\n\n \n"), "accepted"),
    "crop cut": (bytes_of(crop_of, lambda b: b[: len(b) * 2 // 3]), "crop"),
    "crop empty": (bytes_of(crop_of, lambda b: b""), "crop"),
    "crop is text": (bytes_of(crop_of, lambda b: b"no picture"), "crop"),
    "crop of another size": (
        crop(lambda p: cv2.imwrite(str(p), np.zeros((50, 40, 3), np.uint8))),
        "sizes",
    ),
    "hole in the crops": (crop(lambda p: p.unlink()), "hole"),
    "crop beyond the end": (crop(lambda p: p.rename(p.with_name("00099.jpg"))), "beyond"),
    "crop number zero": (crop(lambda p: p.rename(p.with_name("00000.jpg"))), "beyond"),
    "crop twice": (crop(lambda p: shutil.copy(p, p.with_name("3.png"))), "twice"),
    "crops without numbers": (
        crop(lambda p: [q.rename(q.with_name(f"a{q.name}")) for q in p.parent.iterdir()]),
        "no crop number",
    ),
    "empty crop folder": (crop(lambda p: [q.unlink() for q in p.parent.iterdir()]), "empty crops"),
    "video missing": (lambda root, trial: clip_of(root, trial).unlink(), "no video"),
    "pickle that runs code": (alignment(pickle.dumps({"frame": Evil()})), "refused"),
    "pickle cut": (alignment(pickle.dumps({"frame": [1] * 99})[:-30]), "pickle"),
    "pickle of something else": (alignment(pickle.dumps([1, 2])), "alignment"),
    "alignment of another video": (
        alignment(pickle.dumps({"frame": [None] * 40, "mask": [None] * 40})),
        "frames",
    ),
    "OpenFace without its table": (no_openface_table, "openface"),
    "another video of that name": (
        lambda root, trial: (
            shutil.copytree(root / "batch1", root / "batch2", ignore=lambda d, names: names)
            and (root / f"batch2/{trial}.avi").write_bytes(b"other")
        ),
        "two videos",
    ),
    "a line that leads out": (
        lambda root, trial: (root / "test_set_VA.txt").write_text(f"../../{trial}\n"),
        "outside",
    ),
}
# What a warning or error would be wrong about.
SILENT = {name for name, (_, kind) in KINDS.items() if kind in ("accepted", "hole", "uneven")}
# Contradictions, that somebody must look at; the other kinds lack a counterpart, or are odd
# (data_check's docstring).
WARNINGS = {
    "early",
    "no sound",
    "few frames",
    "rate",
    "turned",
    "shape",
    "sizes",
    "empty crops",
    "no video",
    "nobody",
    "one row",
}
TRIALS = {name: str(number) for number, name in enumerate(KINDS, start=100)}


def look(root, processed):
    """What 01 to 04 do: the report's text by trial, and the bytes of all arrays."""
    table, report = affwild2.find(root)
    place = Store(processed, "set", root)
    outcomes = over(partial(check.check_trial, store=place), table.to_dict("records"))
    every = check.table(outcomes, report)
    checks = [outcome.value for outcome in outcomes]
    check.tell(outcomes, report)
    lost = {}
    for trial in table.to_dict("records"):
        for wanted in WANTED:
            try:
                arrays.make(trial, wanted, place)
            except InputError as error:
                lost.setdefault(trial["trial"], []).append(str(error))
    told, severity = {}, {}
    for row in report.problem_table().itertuples():
        told[row.item] = f"{told.get(row.item, '')}\n{row.what} {row.where}"
        severity.setdefault(row.item, set()).add(row.severity)
    shown = {row["trial"]: f"{row['rate']} {row['crops']}" for row in checks}
    files = {
        path.relative_to(processed).as_posix(): path.read_bytes()
        for path in processed.rglob("*.npy")
    }
    return told, lost, files, shown, severity, every, report.problem_table()


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """(report, lost, arrays) of a set with all damaged files beside the good ones, and of one with
    the good alone.
    """
    folder = tmp_path_factory.mktemp("damaged")
    clip = video(folder / "clip.mp4").read_bytes()
    for name, trials in (("clean", GOOD), ("damaged", (*GOOD, *TRIALS.values()))):
        for trial in trials:
            healthy(folder / name, trial, clip)
    for name, (damage, _) in KINDS.items():
        damage(folder / "damaged", TRIALS[name])
    return {
        name: look(folder / name, folder / f"{name}-processed") for name in ("clean", "damaged")
    }


def test_there_are_enough_damages_and_no_kind_covers_more_than_ten():
    kinds = Counter(kind for _, kind in KINDS.values())
    assert len(KINDS) >= 40
    assert max(kinds.values()) <= 10
    assert set(kinds) <= set(WORDS)


# Said of whole recordings, too: these films have no sound in their track, one is an MPEG stream.
TRUE = ("the sound is digital silence", "the file's clock begins at 0.54 s")


@pytest.mark.parametrize("name", KINDS)
def test_the_report_names_the_kind_of(sets, name):
    told, lost, _, shown, *_ = sets["damaged"]
    kind, trial = KINDS[name][1], TRIALS[name]
    text = told.get("test_set_VA.txt", "") if kind == "outside" else told.get(trial, "")
    assert WORDS[kind] in text + shown.get(trial, "")
    if name in SILENT:
        lines = [line for line in text.splitlines() if line and not line.startswith(TRUE)]
        assert (trial in lost, lines) == (False, [])


@pytest.mark.parametrize("name", KINDS)
def test_contradictions_are_errors_and_missing_counterparts_warnings(sets, name):
    kind, found = KINDS[name][1], sets["damaged"][4].get(TRIALS[name], set())
    if (
        name == "one label too many"
    ):  # decoders differ by a frame: 106 of 422 trials of the published set
        kind = "one row"
    if name not in SILENT and kind != "outside":
        fewer_frames_than_labels = name in ("one frame", "no index, cut at a half")
        assert ("error" in found) == (kind not in WARNINGS or fewer_frames_than_labels)


def test_every_video_is_one_row_of_the_report_also_one_that_does_not_open(sets):
    every = sets["damaged"][5].set_index("trial")
    rows = set(TRIALS.values()) - {TRIALS["video missing"]} | set(GOOD)
    assert (every.index.is_unique, set(every.index)) == (True, rows)
    unopened = [
        TRIALS[name]
        for name, (_, kind) in KINDS.items()
        if kind in ("empty", "no recording", "no picture")
    ]
    assert not every.loc[unopened, "opens"].any()
    assert (every.loc[unopened, "errors"] != "").all()


def test_pixels_that_are_not_square_have_a_column(sets):
    every = sets["damaged"][5].set_index("trial")["pixel_aspect"]
    assert every[TRIALS["pixels that are not square"]] == "1.422"
    assert every[GOOD[0]] == ""


def test_every_row_of_the_report_says_where_what_was_done_and_what_to_do(sets):
    rows = sets["damaged"][6]
    assert len(rows) > len(KINDS) - 10
    assert rows[(rows[["what", "done", "where", "todo"]] == "").any(axis=1)].empty


@pytest.mark.parametrize("name", ["byte-order mark", "Windows line ends", "blank tail"])
def test_an_odd_label_file_is_read_as_the_plain_one(sets, name):
    files = sets["damaged"][2]
    va = {
        trial: [content for place, content in files.items() if f"/{trial}/va-" in place]
        for trial in (GOOD[0], TRIALS[name])
    }
    assert len(va[GOOD[0]]) == 1
    assert va[GOOD[0]] == va[TRIALS[name]]


def test_the_arrays_of_every_other_trial_are_equal_to_the_byte(sets):
    clean, damaged = sets["clean"][2], sets["damaged"][2]
    assert len(clean) == len(GOOD) * len(WANTED)
    assert clean == {place: damaged[place] for place in clean}
    assert not set(GOOD) & set(sets["damaged"][1])
