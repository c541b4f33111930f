"""What networks compute of a long recording: in stretches, with the bytes of one pass."""

import json
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from lib import arrays, models
from lib.experiments import long_films, preparing
from lib.features import encoder_arrays, face_maps
from lib.media import readings, stretches
from lib.models import memory
from lib.parallel import gpus, mapping
from lib.parameters import Params
from lib.store import Store, request
from tests import fake_cuda, tiny_encoders, tiny_set
from tests.features.test_encoders import settings
from tests.tiny_set import FACE, FPS, one_thread  # noqa: F401

N, STRETCH, FIRSTS = 420, 6.0, [0, 180, 360]
SOUNDS = [request("audio_16k", rate=16000), request("audio_44k", rate=44100)]
TRIAL = {"trial": "film_left", "video": "film", "person": "", "crops_dir": "crops/film_left"}
TRIAL |= {"video_path": "film.mp4", "audio_path": "film.mp4", "duration": N / FPS}
BLIND = [*range(170, 190), *range(350, 390)]  # frames without a face: one border lies among them
VGGISH = request("vggish", weights="random", width=1 / 64, seed=0)


@dataclass
class Film:
    """The folder of a recording and of networks; its store whole and in stretches."""

    root: object
    encoders: object

    def opened(self, name, stretch=STRETCH, data="data"):
        """A store with what networks look at and listen to, and nothing else."""
        place = Store(self.root / name, "films", self.root / data, stretch=stretch)
        rng = np.random.default_rng(0)
        valid = rng.random(N) > 0.1
        valid[BLIND] = False
        faces = rng.integers(1, 255, (N, FACE, FACE, 3), np.uint8) * valid[:, None, None, None]
        tiny_set.write(place, "film", request("time"), np.arange(N) / FPS)
        tiny_set.write(place, "film_left", request("face_valid"), valid)
        tiny_set.write(place, "film_left", request("face", size=FACE), faces.astype(np.uint8))
        for asked in SOUNDS:
            rate = asked.parameters["rate"]
            sound = (rng.normal(size=round(N / FPS * rate)) * 3000).astype(np.int16)
            tiny_set.write(place, "film", asked, sound, t0=-0.1, rate=rate)
        power = rng.random((round(N / FPS * 100), 64), np.float32)
        tiny_set.write(place, "film", request("mel"), power, t0=0.02, rate=100.0)
        length = {"video_path": {"seconds": N / FPS, "frames": N}}
        (place.shelf("video", "film").folder / readings.READING_FILE).write_text(json.dumps(length))
        return place

    def wanted(self, name):
        """The request for an array, by what it is called here."""
        teacher, faces = ({"weights": self.root / part} for part in ("teacher.pt", "faces.pt"))
        seen = {"size": FACE, "pooled": True}
        known = {
            "map": request("face_map", faces, size=FACE, crop=24, cut="output_layer", variant=1),
            "dilated": request("backbone_visual", teacher, clip="dilated", **seen),
            "jittered": request("backbone_visual", teacher, clip="look_back", jitter=1, **seen),
            "heard": request("backbone_audio", teacher, seconds=0.5, anchor="centre"),
            "published": request("backbone_audio", teacher, anchor="published"),
            "vggish": VGGISH,
        }
        if name in known:
            return known[name]
        network, _, rate = name.partition(" at ")
        own = {"rate": float(rate)} if rate else {}
        own |= {"seconds": 5.0} if network == "wavlm" else {}
        own |= {"span": 0.4} if network == "videomae" else {}
        return encoder_arrays.wanted(settings(self.encoders / network, **own), FACE)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    root = tmp_path_factory.mktemp("film")
    tiny_set.write_face_network(root / "faces.pt")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = models.create("tsav", width=0.0625, channels=3)
    torch.save({"model": net.state_dict(), "params": {}}, root / "teacher.pt")
    return Film(root, root / "encoders")


@pytest.fixture
def networks(film):
    """The folder of tiny encoders."""
    if not film.encoders.exists():
        transformers = pytest.importorskip("transformers", reason="the extra `encoders`")
        tiny_encoders.make(film.encoders)
        small = {**tiny_encoders.SMALL, **tiny_encoders.PICTURES}
        clips = transformers.VideoMAEConfig(**small, num_frames=4, tubelet_size=2)
        net = transformers.VideoMAEModel(clips)
        tiny_encoders.saved(film.encoders / "videomae", net, **tiny_encoders.GREY)


def files(place, name):
    """The array's files, and those of its stretches, with their bytes."""
    return {path.name: path.read_bytes() for path in place.folder.rglob(f"{name}*-*")}


PLAIN = ["map", "dilated", "jittered", "heard", "published", "vggish"]
ENCODED = ["dino", "dino at 3", "videomae at 4", "wavlm", "wavlm at 0.4", "wavlm at 3"]


def compared(film, name, asked):
    """The array as one pass makes it and as stretches do, the last one first, with the same bytes;
    rows of each stretch.
    """
    whole, cut = (film.opened(f"{name} {kind}", kind) for kind in (600.0, STRETCH))
    arrays.make(TRIAL, asked, whole)
    for number in (2, 0, 1):
        assert arrays.make_part(TRIAL, asked, number, cut) == "made"
        assert arrays.make_part(TRIAL, asked, number, cut) == "there"
    parts = [json.loads(path.read_text()) for path in cut.folder.rglob("*_stretch-*.json")]
    rows = sorted(part[stretches.ROWS][:2] for part in parts)
    arrays.make(TRIAL, asked, cut)
    assert files(cut, asked.name) == files(whole, asked.name)
    assert np.asarray(arrays.read(TRIAL, asked, whole)).any(axis=1).sum() > 5
    return rows


@pytest.mark.parametrize("name", PLAIN)
def test_a_long_film_has_the_bytes_of_one_pass(film, name):
    rows = compared(film, name, film.wanted(name))
    assert rows[0][0] == 0
    assert rows[-1][1] == N
    assert len({tuple(one) for one in rows}) == 3
    assert all(abs(first - begin) < 130 for (begin, _), first in zip(rows, FIRSTS, strict=True))


@pytest.mark.parametrize("name", ENCODED)
def test_so_has_what_encoders_make_of_it(film, networks, name):
    asked = film.wanted(name)
    rows = compared(film, name, asked)
    rate = asked.parameters.get("rate", FPS)
    assert rows[-1][1] == round(N / FPS * rate + 0.49)
    assert len({tuple(one) for one in rows}) == 3


def test_rows_of_a_film_are_named_as_they_were_before_it_was_cut(film):
    for name in PLAIN:
        cut, whole = (
            arrays.locate(TRIAL, film.wanted(name), film.opened("named", kind))
            for kind in (STRETCH, 600.0)
        )
        assert cut.path == whole.path


def test_a_kill_costs_the_stretch_in_hand_and_no_other(film, monkeypatch):
    asked, place, real = film.wanted("map"), film.opened("killed"), memory.pieces
    begun = []

    def killed(compute, count, size):
        begun.append(count)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return real(compute, count, size)

    monkeypatch.setattr(memory, "pieces", killed)
    with pytest.raises(KeyboardInterrupt):
        arrays.make(TRIAL, asked, place)
    assert len(list(place.folder.rglob("face_map_stretch-*.npy"))) == 1
    assert not list(place.folder.rglob("*.part"))
    arrays.make(TRIAL, asked, place)
    seen = int(arrays.read(TRIAL, request("face_valid"), place).sum())
    assert len(begun) == 4, "the first stretch is not made again"
    assert begun[0] + begun[2] + begun[3] == seen
    assert not list(place.folder.rglob("*_stretch*"))


def test_stretches_of_a_version_that_cut_elsewhere_are_made_again(film, monkeypatch):
    asked, place, whole = (
        film.wanted("map"),
        film.opened("other"),
        film.opened("other whole", 600.0),
    )
    with monkeypatch.context() as patch:
        patch.setattr(face_maps, "FRAMES_AT_ONCE", 50)
        for number in (0, 1):
            arrays.make_part(TRIAL, asked, number, place)
    for here in (place, whole):
        arrays.make(TRIAL, asked, here)
    assert files(place, "face_map") == files(whole, "face_map")


def items(film, place, asked):
    """What is handed out of the film in its first round, as text."""
    return [str(item) for item in long_films.Films([TRIAL], asked, place, True).first()]


def stretches_of(*asked):
    return [f"film: {each.name}, stretch {number}" for each in asked for number in (1, 2, 3)]


def test_all_workers_share_the_rows_of_a_film(film):
    asked = [film.wanted("dilated"), film.wanted("vggish")]
    assert items(film, film.opened("shared"), asked) == stretches_of(*asked)


def test_crops_that_are_read_in_place_are_not_packed_for_a_network(film):
    asked, place = [film.wanted("dilated")], film.opened("in place", data="crops")
    folder = place.data_root / TRIAL["crops_dir"]
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "00001.jpg"), np.full((FACE, FACE, 3), 90, np.uint8))
    assert items(film, place, asked) == ["film: face_valid"]
    arrays.make(TRIAL, request("face_valid"), place)
    assert items(film, place, asked) == stretches_of(*asked)


# Two processes that import PyTorch. The same stretches, made one by one and joined, have the bytes
# of one pass in test_a_long_film_has_the_bytes_of_one_pass (heard, vggish); two workers share a
# film in tests/faces/test_following.py, with the same bytes, too.
@pytest.mark.slow
def test_workers_that_share_a_film_make_the_bytes_of_one(film):
    asked, made = [film.wanted("heard"), VGGISH], []
    for workers in (1, 2):
        place = film.opened(f"{workers} workers")
        p = Params({"device": "cpu", "workers": workers, "parallel": "processes"})
        (outcome,) = preparing.make([TRIAL], asked, place, p)
        assert outcome.ok, outcome.error
        made.append(files(place, "backbone_audio") | files(place, "vggish"))
    assert len(made[0]) == 4
    assert made[0] == made[1]


def test_gpus_share_a_film_too(film, monkeypatch):
    asked, place, real, given = [film.wanted("heard")], film.opened("gpus"), mapping.map, []

    def watched(work, items, workers=1, *more, environments=(), then=None, **how):
        given.append((workers, environments, list(map(str, items))))
        return real(work, items, 1, *more, then=then, **how)

    monkeypatch.setattr(mapping, "map", watched)
    with fake_cuda.on(gpus=2):
        p = Params({"device": "cuda", "workers": 1, "parallel": "processes"})
        (outcome,) = preparing.make([TRIAL], asked, place, p)
    assert outcome.ok, outcome.error
    (before, *_), (workers, environments, shared) = given
    assert before == 1
    assert workers == 2
    assert environments == [{gpus.VISIBLE: "0"}, {gpus.VISIBLE: "1"}]
    assert shared == stretches_of(*asked)
    assert "computed on cuda" in outcome.value[0]["note"]
