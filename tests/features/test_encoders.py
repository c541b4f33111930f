"""Pretrained encoders, on tiny random networks of the same classes that are built here: nothing is
fetched.
"""

import json
import shutil
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib import arrays
from lib import recipes as recipes_of
from lib.errors import InputError
from lib.evaluation import checkpoint
from lib.features import encoder_arrays, encoder_faces, encoder_files, encoder_sound, encoders
from lib.grammar import recipes
from lib.media import stretches
from lib.media.sound import as_float
from lib.store import Store, request
from lib.training import trainer
from tests import fake_cuda, tiny_encoders, tiny_set
from tests.recipes.test_features import prepared
from tests.tiny_encoders import GREY, PICTURES, SMALL, saved
from tests.tiny_set import one_thread  # noqa: F401

transformers = pytest.importorskip("transformers", reason="the extra `encoders`")
SECONDS, CPU = 20.0, torch.device("cpu")
DEFAULTS = recipes()["features"]["encoders"]


def settings(model, **changes):
    return DEFAULTS.read({"x": {"model": str(model), **changes}})["x"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a WavLM, a DINOv2, a CLIP and a VideoMAE as `save_pretrained` writes them."""
    root = tiny_encoders.make(tmp_path_factory.mktemp("models"))
    torch.manual_seed(0)
    text = {**SMALL, "vocab_size": 16, "max_position_embeddings": 8}
    clip = transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config=text, vision_config={**SMALL, **PICTURES}, projection_dim=8
        )
    )
    saved(root / "clip", clip, **GREY)
    clips = transformers.VideoMAEConfig(**SMALL, **PICTURES, num_frames=4, tubelet_size=2)
    saved(root / "videomae", transformers.VideoMAEModel(clips), **GREY)
    return root


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The tiny set, in which a recording has 20 s of sound that begins .1 s before the picture;
    tests copy it.
    """
    root = tiny_set.make(tmp_path_factory.mktemp("tiny"))
    place = Store(root / "processed", "tiny", root / "data")
    rng = np.random.default_rng(0)
    noise = (rng.normal(size=int(SECONDS * 16000)) * 3000).astype(np.int16)
    tiny_set.write(place, "171", request("audio_16k", rate=16000), noise, t0=-0.1, rate=16000)
    return root


@pytest.fixture
def place(tiny, tmp_path):
    """The store of a copy of the set."""
    root = shutil.copytree(tiny, tmp_path / "tiny")
    return Store(root / "processed", "tiny", root / "data")


def trial(place):
    return (
        tiny_set.table(place.folder.parent.parent)
        .set_index("trial", drop=False)
        .loc["171"]
        .to_dict()
    )


def library_faces(folder, faces):
    """What the library's own class gives of faces that it is given as numbers."""
    x = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    x = torch.nn.functional.interpolate(x, (28, 28), mode="bicubic", antialias=True).clamp(0, 1)
    kind = transformers.CLIPVisionModel if folder.name == "clip" else transformers.AutoModel
    with torch.inference_mode():
        return kind.from_pretrained(folder)(
            pixel_values=(x - 0.5) / 0.25, output_hidden_states=True
        )


# ---- faces
@pytest.mark.parametrize("name", ["dino", "clip"])
def test_rows_of_faces_are_the_librarys_own_and_zero_without_a_face(models, place, name):
    item = encoder_arrays.wanted(settings(models / name, kept="float32"), tiny_set.FACE)
    row = arrays.make(trial(place), item, place)
    rows = arrays.read(trial(place), item, place)
    faces = arrays.opened(trial(place), request("face", size=tiny_set.FACE), place)
    expected = library_faces(models / name, faces.read(np.arange(len(faces)))).pooler_output
    seen = np.asarray(arrays.read(trial(place), request("face_valid"), place))
    assert item.name == "encoder_faces"
    assert not seen.all()
    assert np.abs(rows[seen] - expected.numpy()[seen]).max() < 1e-5
    assert not rows[~seen].any()
    assert row["note"] == f"{name} from a folder of this machine"


def test_hidden_layers_lie_side_by_side_and_halves_and_batches_change_little(
    models, place, monkeypatch
):
    item = encoder_arrays.wanted(settings(models / "dino", layers=[0, 2]), tiny_set.FACE)
    arrays.make(trial(place), item, place)
    rows = np.array(arrays.read(trial(place), item, place))
    faces = arrays.opened(trial(place), request("face", size=tiny_set.FACE), place)
    layers = library_faces(models / "dino", faces.read(np.arange(len(faces)))).hidden_states
    expected = torch.cat([layers[0][:, 0], layers[2][:, 0]], 1).numpy()
    seen = np.asarray(arrays.read(trial(place), request("face_valid"), place))
    assert rows.dtype == np.float16
    assert np.abs(rows[seen] - expected[seen]).max() < 1e-2
    arrays.locate(trial(place), item, place).path.unlink()
    monkeypatch.setattr(encoder_faces, "ON_CPU", 1)
    arrays.make(trial(place), item, place)
    assert np.abs(rows - arrays.read(trial(place), item, place)).max() < 1e-2


def test_a_network_of_timm_is_read_from_a_local_file(place, tmp_path):
    timm = pytest.importorskip("timm", reason="the extra `encoders`")
    torch.manual_seed(0)
    net = timm.create_model("test_vit").eval()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    given = settings(tmp_path / "weights.pth", architecture="test_vit", kept="float32")
    item = encoder_arrays.wanted(given, tiny_set.FACE)
    arrays.make(trial(place), item, place)
    rows = arrays.read(trial(place), item, place)
    encoder = encoders.load(item.files, item.parameters, CPU)
    faces = arrays.opened(trial(place), request("face", size=tiny_set.FACE), place)
    frame = int(np.flatnonzero(faces.valid)[0])
    with torch.inference_mode():
        shown = encoder_faces.pixels(faces.read(np.array([frame])), encoder, CPU)
        expected = net.forward_head(net.forward_features(shown), pre_logits=True)
    assert np.abs(rows[frame] - expected.numpy()).max() < 1e-5


def test_a_masked_autoencoder_sees_the_whole_face(tmp_path):
    torch.manual_seed(0)
    config = transformers.ViTMAEConfig(**SMALL, **PICTURES, mask_ratio=0.75)
    saved(tmp_path / "mae", transformers.ViTMAEModel(config))
    encoder = encoders.load({"config": tmp_path / "mae" / "config.json"}, {}, CPU)
    faces = np.random.default_rng(0).integers(0, 255, (4, 28, 28, 3), dtype=np.uint8)
    shown = encoder_faces.pixels(faces, encoder, CPU)
    first, again = (encoder_faces.of_pictures(encoder, shown) for _ in range(2))
    assert first.shape == (4, 16)
    assert torch.allclose(first, again, atol=1e-5)  # its patches are shuffled, none is hidden


def test_what_a_network_was_trained_to_see_is_read_from_its_files_or_told(models, tmp_path):
    assert encoders.looks(models / "dino") == (28, (0.5,) * 3, (0.25,) * 3, "")
    config = tmp_path / encoder_files.CONFIG
    of_timm = {"input_size": [3, 160, 160], "mean": [0.1] * 3, "std": [0.2] * 3}
    config.write_text(json.dumps({"architecture": "test_vit", "pretrained_cfg": of_timm}))
    assert encoders.looks(tmp_path) == (160, (0.1,) * 3, (0.2,) * 3, "")
    assert encoder_arrays.kind(settings(tmp_path)) == "encoder_faces"
    config.write_text(json.dumps({"image_size": 96}))
    told = "not in its files, assumed: mean and sd of ImageNet"
    assert encoders.looks(tmp_path) == (96, encoders.IMAGENET_MEAN, encoders.IMAGENET_SD, told)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_normalize": False},
        {"offset": False, "rescale_factor": 1 / 255},
        {"offset": False, "do_rescale": False, "image_mean": [120.0] * 3, "image_std": [60.0] * 3},
    ],
)
def test_pictures_are_brought_to_the_scale_that_the_networks_own_processor_gives(tmp_path, changes):
    """ViViT's takes 1 from values that it has brought to 0…2 before it standardises them."""
    picture = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    from transformers.models.vivit.image_processing_vivit import VivitImageProcessor

    own = VivitImageProcessor(do_resize=False, do_center_crop=False, **changes)
    (tmp_path / encoder_files.CONFIG).write_text(json.dumps({"image_size": 28}))
    own.save_pretrained(tmp_path)
    expected = own([picture], return_tensors="np")["pixel_values"][0, 0]
    _, mean, sd, told = encoders.looks(tmp_path)
    encoder = encoders.Encoder(None, 28, mean, sd)
    found = encoder_faces.pixels(picture[None], encoder, CPU)[0].numpy()
    assert told == ""
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "seen", "said"),
    [
        ([], {}, "config.json cannot be read"),
        ({}, [1], "preprocessor_config.json cannot be read"),
        ({}, {"size": "large"}, "invalid literal"),
        ({}, {"size": {"height": -1}}, "a side of -1 px"),
        ({"image_size": 1e9}, {}, "a side of 1000000000 px"),
        ({}, {"image_mean": [0.5] * 4, "image_std": [0.5] * 4}, "trained to see"),
        ({}, {"image_mean": [0.5] * 3, "image_std": [0.0] * 3}, "sd"),
    ],
)
def test_files_that_say_what_cannot_be_are_named(tmp_path, config, seen, said):
    (tmp_path / encoder_files.CONFIG).write_text(json.dumps(config))
    (tmp_path / encoder_files.PREPROCESSOR).write_text(json.dumps(seen))
    with pytest.raises(InputError, match=said) as caught:
        encoders.looks(tmp_path)
    assert str(tmp_path) in str(caught.value.where)


# ---- rows at a rate of their own, and clips
RATE = 3.0
TIMES = np.arange(41) / 25  # of the recording that `place` has


def test_each_frame_belongs_to_the_span_in_which_its_time_lies():
    times = 7.0 + np.array([0.0, 0.1, 0.24, 0.25, 0.26, 0.5, 0.74, 1.3])
    assert encoder_arrays.rows_at(times, 4.0).tolist() == [0, 0, 0, 1, 1, 2, 2, 5]
    assert encoder_arrays.moments(times, 4.0) - 7.0 == pytest.approx(np.arange(6) / 4 + 0.125)
    back = np.array([0.0, 0.3, 0.2, 0.6])  # a stamp that goes back stands still
    assert encoder_arrays.rows_at(back, 4.0).tolist() == [0, 1, 1, 2]
    for fps in (24000 / 1001, 25.0, 30000 / 1001):
        rows = encoder_arrays.rows_at(np.arange(100_000) / fps, 1.0)
        assert np.bincount(rows).max() <= np.ceil(fps)
    asked = request("encoder_faces", model="x")
    assert encoder_arrays.rows_of(asked, times, slice(2, 4)) == slice(2, 4)


def test_at_a_rate_each_span_has_the_face_nearest_to_its_middle(models, place):
    asked = settings(models / "dino", kept="float32", rate=RATE)
    item = encoder_arrays.wanted(asked, tiny_set.FACE)
    row = arrays.make(trial(place), item, place)
    rows = np.asarray(arrays.read(trial(place), item, place))
    faces = arrays.opened(trial(place), request("face", size=tiny_set.FACE), place)
    every = library_faces(models / "dino", faces.read(np.arange(41))).pooler_output.numpy()
    seen = np.asarray(arrays.read(trial(place), request("face_valid"), place))
    assert len(rows) == 5
    for number, found in enumerate(rows):
        inside = [k for k in range(41) if seen[k] and int(TIMES[k] * RATE + 1e-6) == number]
        nearest = min(inside, key=lambda k: abs(TIMES[k] - (number + 0.5) / RATE))
        assert np.abs(found - every[nearest]).max() < 1e-5
    assert "3 rows per second, each of the face nearest to the middle of its span" in row["note"]
    facts = arrays.facts(trial(place), item, place)
    assert (facts["rate"], facts["t0"]) == (RATE, 0.0)


def test_at_a_rate_each_span_has_the_mean_of_what_is_heard_in_it(models, place):
    asked = settings(models / "wavlm", kept="float32", seconds=30.0, rate=RATE)
    item = encoder_arrays.wanted(asked, 0)
    arrays.make(trial(place), item, place)
    rows, whole = arrays.read(trial(place), item, place), one_pass(models / "wavlm", place)
    middle = (np.arange(len(whole)) * 320 + 200) / 16000 - 0.1
    for number, row in enumerate(rows):
        inside = (middle >= number / RATE - 1e-9) & (middle < (number + 1) / RATE - 1e-9)
        assert inside.sum() >= 16
        assert np.abs(row - whole[inside].mean(0)).max() < 1e-5


@pytest.mark.parametrize("blind", [(), tuple(range(25, 41)), tuple(range(41))])
def test_a_network_of_clips_sees_pictures_around_the_frame_that_its_row_stands_for(
    models, place, blind
):
    """Its rows are those of the library's own class of these pictures, 4 per second unless said."""
    valid = np.asarray(arrays.read(trial(place), request("face_valid"), place)).copy()
    valid[list(blind)] = 0
    tiny_set.write(place, "171", request("face_valid"), valid)
    asked = settings(models / "videomae", kept="float32", span=0.4)
    item = encoder_arrays.wanted(asked, tiny_set.FACE)
    assert (item.name, item.parameters["rate"]) == ("encoder_clips", encoder_arrays.CLIP_RATE)
    row = arrays.make(trial(place), item, place)
    rows = np.asarray(arrays.read(trial(place), item, place))
    faces = arrays.opened(trial(place), request("face", size=tiny_set.FACE), place)
    net = transformers.VideoMAEModel.from_pretrained(models / "videomae")
    assert len(rows) == 7
    for number, found in enumerate(rows):
        middle, seen = (number + 0.5) / 4, np.flatnonzero(valid)
        picked = (
            [
                min(seen, key=lambda k: abs(TIMES[k] - at))
                for at in middle + np.array([-0.15, -0.05, 0.05, 0.15])
            ]
            if len(seen)
            else []
        )
        if not any(abs(TIMES[k] - middle) <= 0.2 for k in picked):
            assert not found.any()
            continue
        shown = encoder_faces.pixels(
            faces.read(np.array(picked)), encoders.Encoder(net, 28, (0.5,) * 3, (0.25,) * 3), CPU
        )
        with torch.inference_mode():
            expected = net(pixel_values=shown[None]).last_hidden_state.mean(1)[0].numpy()
        assert np.abs(found - expected).max() < 1e-5
    assert "4 rows per second, each of 4 pictures over 0.4 s around its span" in row["note"]


def test_what_is_no_network_of_clips_is_refused_as_one(models, place):
    item = encoder_arrays.wanted(settings(models / "dino", of="clips"), tiny_set.FACE)
    with pytest.raises(InputError, match="encoder of clips with num_frames 0"):
        arrays.make(trial(place), item, place)


def test_rows_at_a_rate_take_their_share_of_the_disk(models):
    every = encoder_arrays.wanted(settings(models / "dino"), tiny_set.FACE)
    some = encoder_arrays.wanted(settings(models / "dino", rate=3.0), tiny_set.FACE)
    sizes = [encoder_arrays.bytes_a_frame(item) for item in (every, some)]
    assert sizes == [32, 3]


# ---- sound
def one_pass(folder, place, layers=(), seconds=SECONDS):
    """The rows of the recording's first seconds by the library, heard at once, and its own
    preparation of sound.
    """
    sound = as_float(arrays.read(trial(place), request("audio_16k", rate=16000), place))
    sound = sound[: int(seconds * 16000)]
    prepare = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    given = prepare(sound, sampling_rate=16000, return_tensors="pt").input_values
    with torch.inference_mode():
        found = transformers.AutoModel.from_pretrained(folder)(given, output_hidden_states=True)
    chosen = [found.hidden_states[k] for k in layers] or [found.last_hidden_state]
    return torch.cat(chosen, -1)[0].numpy()


def test_windows_join_to_what_one_pass_gives(models, place):
    inputs = {
        "sound": arrays.read(trial(place), request("audio_16k", rate=16000), place),
        "sound_facts": {"t0": -0.1},
        "time": np.arange(41) / 25,
        "config": models / "wavlm" / "config.json",
    }
    whole = one_pass(models / "wavlm", place, (0, 2))
    cut = one_pass(models / "wavlm", place, (0, 2), seconds=10.0)
    of_a_cut = np.abs(cut - whole[: len(cut)]).max()
    for seconds, count, close in ((10.0, 3, of_a_cut / 100), (30.0, 1, 1e-5)):
        parameters = {"seconds": seconds, "layers": [0, 2]}
        encoder = encoders.load(inputs, parameters, CPU)
        heard = encoder_sound.Heard(inputs, encoder, parameters, CPU)
        rows = np.concatenate(list(heard.pieces()))
        assert len(heard.windows) == count
        assert rows.shape == whole.shape
        assert np.abs(rows - whole).max() < close


def test_a_frame_gets_the_mean_of_the_rows_in_its_span_by_the_clock(models, place):
    item = encoder_arrays.wanted(settings(models / "wavlm", kept="float32", seconds=30.0), 0)
    arrays.make(trial(place), item, place)
    rows = arrays.read(trial(place), item, place)
    whole, times = one_pass(models / "wavlm", place), np.arange(41) / 25
    middle = (np.arange(len(whole)) * 320 + 200) / 16000 - 0.1
    for time, row in zip(times, rows, strict=True):
        inside = (middle >= time - 0.02 - 1e-9) & (middle < time + 0.02 - 1e-9)
        assert inside.sum() == 2
        assert np.abs(row - whole[inside].mean(0)).max() < 1e-5


def test_sound_that_is_shorter_than_the_picture_or_than_one_row_is_told(models, place):
    config = models / "wavlm" / "config.json"
    encoder = encoders.load({"config": config}, {}, CPU)
    for count, beyond in ((3200, 36), (100, 41), (0, 41)):
        inputs = {
            "sound": np.ones(count, np.int16),
            "sound_facts": {"t0": 0.02},
            "time": np.arange(41) / 25,
            "config": config,
        }
        heard = encoder_sound.Heard(inputs, encoder, {"seconds": 20.0}, CPU)
        assert heard.notes == [f"{beyond} frames before or after the sound have its nearest row"]
        found = encoder_sound.on_frames(heard.pieces(), heard.first, heard.last)
        rows = np.concatenate([part for _, part in found])
        assert rows.shape == (41, 16)
        assert np.isfinite(rows).all()


@pytest.mark.parametrize("fps", [60.0, 7.0])
def test_pieces_of_any_length_give_each_frame_its_mean_or_nearest_row(fps):
    grid, rng = encoder_sound.Grid(320, 400), np.random.default_rng(0)
    rows = rng.normal(size=(200, 3)).astype(np.float32)
    times = np.arange(round(5 * fps)) / fps  # the sound ends after 4 s
    first, last = grid.spans(times, 0.0, len(rows))
    pieces = np.split(rows, [1, 30, 31, 140])
    found = np.concatenate([part for _, part in encoder_sound.on_frames(pieces, first, last)])
    expected = [rows[a:b].mean(0) for a, b in zip(first, last, strict=True)]
    assert found == pytest.approx(np.array(expected), abs=1e-5)
    assert np.all(first[times > 4.2] == 199)
    middle = np.abs((first + last - 1) / 2 * 0.02 + 0.0125 - times)[1:][times[1:] < 3.9]
    assert middle.max() <= 0.0101  # half a row


@pytest.mark.parametrize("begins", [0.0, 2.5, -3.0])  # s, the sound before or after the picture
@pytest.mark.parametrize("fps", [60.0, 7.0, 0.4])
def test_stretches_of_sound_give_the_sums_of_one_pass(fps, begins):
    rng, grid = np.random.default_rng(0), encoder_sound.Grid(320, 400)
    rows = rng.normal(size=(400, 3)).astype(np.float32)  # 8 s
    times = np.arange(round(9 * fps)) / fps
    first, last = grid.spans(times, -begins, len(rows))
    windows = encoder_sound.windows(len(rows), 60, 10)
    heard = SimpleNamespace(first=first, last=last, windows=windows)

    def found(stretch):
        own = encoder_sound.Heard.share(heard, stretch)
        kept = windows[own.items]
        pieces = [rows[start:stop] for _, start, stop in kept]
        begin = kept[0][1] if kept else 0
        parts = list(encoder_sound.on_frames(pieces, first, last, begin, own.first))
        values = [part for _, part in parts] or [np.zeros((0, 3), np.float32)]
        assert sum(map(len, values)) == own.stop - own.first
        return own, np.concatenate(values)

    whole, expected = found(slice(None))
    assert (whole.first, whole.stop, whole.told) == (0, len(times), {})
    for count in (2, 3, 7):
        borders = [len(times) * number // count for number in range(count)]
        shares = [found(slice(*own)) for own in pairwise([*borders, None])]
        assert stretches.fit([own.told for own, _ in shares])
        assert np.concatenate([part for _, part in shares]).tobytes() == expected.tobytes()


def test_windows_are_equally_long_and_keep_each_row_once():
    for rows, length, margin in ((1, 50, 10), (50, 50, 10), (51, 50, 10), (500, 50, 12), (9, 4, 1)):
        found = encoder_sound.windows(rows, length, margin)
        kept = np.concatenate([np.arange(first, last) for _, first, last in found])
        assert np.array_equal(kept, np.arange(rows))
        inner = [min(last, rows) - begin <= length for begin, _, last in found]
        assert all(inner)
        for begin, first, last in found:
            assert first == 0 or first - begin >= margin
            assert last == rows or begin + length - last >= margin


# ---- killed, absent, wrong
def test_an_array_that_was_broken_off_is_made_anew_and_equal(models, place, monkeypatch):
    item = encoder_arrays.wanted(settings(models / "wavlm", seconds=10.0), 0)
    arrays.make(trial(place), item, place)
    path = arrays.locate(trial(place), item, place).path
    before = path.read_bytes()
    path.unlink()
    path.with_suffix(".json").unlink()
    pieces = encoder_sound.Heard.pieces

    def killed(self, *some):
        yield next(pieces(self, *some))
        raise KeyboardInterrupt

    monkeypatch.setattr(encoder_sound.Heard, "pieces", killed)
    with pytest.raises(KeyboardInterrupt):
        arrays.make(trial(place), item, place)
    assert not arrays.locate(trial(place), item, place).exists
    monkeypatch.setattr(encoder_sound.Heard, "pieces", pieces)
    assert arrays.make(trial(place), item, place)["state"] == "made"
    assert path.read_bytes() == before


@pytest.fixture
def hub(models, tmp_path, monkeypatch):
    """A cache of the hub that holds org/wavlm, and no network."""
    repository = tmp_path / "hub" / "models--org--wavlm"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123456789abcdef")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "0123456789abcdef").symlink_to(models / "wavlm")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return repository


def test_a_network_in_the_hubs_cache_is_taken_and_told(hub, place):
    item = encoder_arrays.wanted(settings("org/wavlm", layers=[1]), 0)
    row = arrays.make(trial(place), item, place)
    assert row["note"].startswith("org/wavlm from the hub's cache, commit 01234567; layers 1")
    (hub / "refs" / "main").unlink()  # a machine that has the arrays, and no network
    item = request(item.name, **item.parameters)
    assert arrays.make(trial(place), item, place)["state"] == "there"


def test_an_absent_network_is_told_with_the_command_that_fetches_it(hub, place):
    with pytest.raises(InputError, match="HF_HUB_OFFLINE forbids") as caught:
        encoder_arrays.wanted(settings("org/other"), 0)
    assert "hf download org/other" in caught.value.todo
    item = encoder_arrays.wanted(settings("org/other", of="sound"), 0)
    with pytest.raises(InputError, match="org/other is not on this machine"):
        arrays.make(trial(place), item, place)


def test_a_network_is_fetched_once_with_its_older_weights_where_it_has_no_safetensors(
    hub, models, place, tmp_path, monkeypatch
):
    net, calls = transformers.AutoModel.from_pretrained(models / "wavlm"), []
    folder = tmp_path / "hub" / "models--org--old" / "snapshots" / "main"
    folder.mkdir(parents=True)

    def snapshot_download(model, allow_patterns):
        calls.append((model, allow_patterns))
        for file in (models / "wavlm").glob("*.json"):
            (folder / file.name).write_bytes(file.read_bytes())
        if "pytorch_model*.bin*" in allow_patterns:
            torch.save(net.state_dict(), folder / "pytorch_model.bin")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    item = encoder_arrays.wanted(settings("org/old"), 0)
    assert arrays.make(trial(place), item, place)["state"] == "made"
    assert arrays.make(trial(place), item, place)["state"] == "there"
    assert [len(patterns) for _, patterns in calls] == [2, 3, 1]  # config, safetensors, PyTorch's
    same = encoder_arrays.wanted(settings(models / "wavlm"), 0)
    arrays.make(trial(place), same, place)
    rows = [arrays.read(trial(place), one, place) for one in (item, same)]
    assert np.array_equal(*rows)


def test_weights_in_parts_count_as_there_only_when_all_are(models, tmp_path):
    for file in (models / "dino").iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    parts = {"a": "model-1.safetensors", "b": "../model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (tmp_path / "model-1.safetensors").touch()
    found = encoder_files.files(str(tmp_path))
    assert found["model-2.safetensors"] == tmp_path / "model-2.safetensors"
    assert not encoder_files.complete(found)


def test_without_the_extra_the_line_that_installs_it_is_told():
    with pytest.raises(InputError, match="no_such_package is not installed") as caught:
        encoder_files.library("no_such_package")
    assert caught.value.todo == 'pip install -e ".[encoders]"'


def test_weights_that_lack_a_part_of_the_network_are_refused(models, place, tmp_path):
    net = transformers.AutoModel.from_pretrained(models / "dino")
    net.encoder.layer = net.encoder.layer[:1]
    net.save_pretrained(tmp_path / "short")
    (tmp_path / "short" / "config.json").write_bytes((models / "dino/config.json").read_bytes())
    item = encoder_arrays.wanted(settings(tmp_path / "short"), tiny_set.FACE)
    with pytest.raises(InputError, match=r"lack \d+ of the network's parameters"):
        arrays.make(trial(place), item, place)


def test_what_cannot_be_is_refused(models, place, tmp_path):
    item = encoder_arrays.wanted(settings(models / "wavlm", layers=[3]), 0)
    with pytest.raises(InputError, match="no layer 3") as caught:
        arrays.make(trial(place), item, place)
    assert caught.value.expected == "0 to 2"
    with pytest.raises(InputError, match="takes no waveforms"):
        arrays.make(
            trial(place), encoder_arrays.wanted(settings(models / "dino", of="sound"), 0), place
        )
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        encoder_arrays.wanted(settings(tmp_path / "nowhere" / "at" / "all"), 0)
    with pytest.raises(InputError, match="numbers up to 1e"):
        encoders.fitting(np.array([1e6]), np.dtype("float16"))


# ---- the whole way
def test_what_encoders_hear_and_see_and_take_of_a_disk_is_known_before_they_run(models, tmp_path):
    root = tiny_set.make(tmp_path / "tiny")
    encoders = {
        "wavlm": {"model": str(models / "wavlm"), "rate": 8.0},
        "dino": {"model": str(models / "dino")},
    }
    options = {"features": ["wavlm", "dino"], "encoders": encoders, "network": "jca"}
    method = tiny_set.create("features", root, options=options)
    assert list(method.bytes_a_frame().values()) == [9, 2 * 16]
    assert (method.uses_audio, method.uses_video) == (True, True)


@pytest.mark.parametrize(("recipe", "key"), [("features", "enter.0."), ("gated_fusion", "nets.0.")])
def test_a_network_averages_the_layers_of_an_encoder_where_it_is_asked_to(
    models, tmp_path, recipe, key
):
    root = tiny_set.make(tmp_path / "tiny")
    encoder = {"model": str(models / "dino"), "layers": [0, 1, 2], "average": True}
    network = "gru" if recipe == "features" else "temporal_convolution"
    options = {"features": ["dino", "pixels"], "encoders": {"dino": encoder}, "network": network}
    if recipe == "gated_fusion":
        options["gate_by"] = ["face_valid"]
    given = {"steps": 8, "epochs": 1, "width": 0.125, "options": options}
    params = tiny_set.parameters(recipe, root, **given)
    method = recipes_of.create(recipe, params, tiny_set.store(root))
    table, lost = prepared(root, method)
    assert not lost
    trainer.Trainer(method, table, tmp_path / "run").fit()
    kept = torch.load(tmp_path / "run/checkpoints/best.pt", weights_only=True)["model"]
    [name] = [name for name in kept if "logits" in name]
    assert name.startswith(key)
    assert kept[name].shape == (3,)
    assert kept[name].std() > 0  # it has learnt
    predictor = checkpoint.load(
        tmp_path / "run/checkpoints/best.pt", method.params, tiny_set.store(root)
    )
    assert np.isfinite(predictor.predict("seen")["va"]).all()


def test_an_average_for_a_network_that_has_none_or_of_no_layers_is_refused(models, tmp_path):
    root = tiny_set.make(tmp_path / "tiny")
    encoder = {"model": str(models / "dino"), "layers": [0, 1], "average": True}
    options = {"features": ["dino", "pixels"], "encoders": {"dino": encoder}, "network": "jca"}
    method = tiny_set.create("features", root, steps=8, options=options)
    method.statistics = {"a": {"mean": [0.0] * 32}, "b": {"mean": [0.0] * 3}}
    with pytest.raises(InputError, match="`average` of an encoder for the network jca"):
        method.model()
    options["encoders"]["dino"]["layers"] = []
    method = tiny_set.create("features", root, steps=8, options=options)
    with pytest.raises(InputError, match="average of the encoder dino, and layers"):
        method.stack("dino", 32)


def test_settings_of_an_encoder_that_is_not_among_the_features_are_refused(models, tmp_path):
    root = tiny_set.make(tmp_path / "tiny")
    options = {"features": ["pixels"], "encoders": {"dino": {"model": str(models / "dino")}}}
    with pytest.raises(InputError, match="the encoder dino is not in the option `features`"):
        tiny_set.create("features", root, options=options).arrays()


@pytest.mark.parametrize("name", ["wavlm", "dino"])
def test_a_gpu_gives_the_same_rows(models, place, name):
    item = encoder_arrays.wanted(settings(models / name, kept="float32"), tiny_set.FACE)
    arrays.make(trial(place), item, place)
    path = arrays.locate(trial(place), item, place).path
    rows = np.array(arrays.read(trial(place), item, place))
    path.unlink()
    with fake_cuda.on():
        row = arrays.make(trial(place), item, place, "cuda")
    assert "computed on cuda" in row["note"]
    assert np.abs(rows - arrays.read(trial(place), item, place)).max() < 1e-5
