"""Authors' weight files: the right keys with random numbers, and everything that may be wrong with
such a file.
"""

import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models import checkpoints, published
from lib.models.published import STEM

SMALL = {"steps": 4, "visual_channels": 6, "audio_channels": 6, "width": 1 / 32}
FUSION = ["jca", "rjca", "dca", "jca_paper", "jca_512"]
TSAV = {"width": 1 / 32}


def options(name):
    return {**SMALL, "visual_positions": 2} if "visual_positions" in models.options(name) else SMALL


def drawn(name, **chosen):
    torch.manual_seed(1)
    return models.create(name, compat=True, **chosen).state_dict()


def saved(path, state, kind="net", **more):
    torch.save({kind: state, **more}, path)
    return path


def scores():
    """As main.py of JCA writes them beside the weights."""
    return {
        "best_Val_accV": np.float64(0.7),
        "best_Val_accA": np.float32(0.6),
        "best_Val_acc_epoch": np.int64(5),
    }


@pytest.mark.parametrize("name", FUSION)
def test_a_fusion_file_with_numpy_scores_gives_the_published_network(tmp_path, name):
    state = drawn(name, **options(name))
    net = models.load_published(
        name, saved(tmp_path / "cam_model.pt", state, **scores()), **options(name)
    )
    assert net.compat
    assert not net.training
    assert "no licence" in net.licence
    assert "licence" in repr(net)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_numpy_1_wrote_its_scalars_under_another_name(tmp_path):
    path = saved(tmp_path / "new.pt", drawn("jca", **options("jca")), **scores())
    old = tmp_path / "old.pt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(old, "w") as other:
        for item in archive.infolist():
            content = archive.read(item).replace(
                b"numpy._core.multiarray", b"numpy.core.multiarray"
            )
            other.writestr(item, content)
    assert models.load_published("jca", old, **options("jca")).compat


@pytest.mark.parametrize("legacy", [False, True])
def test_a_tsav_file_gives_tsav_with_mask_or_without_and_the_backbone(tmp_path, legacy):
    state = drawn("tsav", **TSAV)
    path = tmp_path / "TSAV_Sub4_544k.pth.tar"
    torch.save(
        {
            "state_dict": {f"module.{key}": value for key, value in state.items()},
            "iteration": 544_000,
        },
        path,
        _use_new_zipfile_serialization=not legacy,
    )  # in 2020 PyTorch wrote no zip archives
    whole = models.load_published("tsav", path, **TSAV)
    assert torch.equal(whole.state_dict()[STEM], state[STEM])
    assert "research only" in whole.licence
    for name in ("tsav", "tsav_backbone"):
        cut = models.load_published(name, path, channels=3, **TSAV)
        assert torch.equal(cut.state_dict()[STEM], state[STEM][:, :3])


@pytest.mark.parametrize("kind", ["model", "model_state_dict", "weights"])
def test_weights_are_found_under_a_key_of_any_name_with_other_things_beside_it(tmp_path, kind):
    state = {f"module.{key}": value for key, value in drawn("jca", **options("jca")).items()}
    optimizer = {"state": {}, "param_groups": [{"lr": 1e-4}]}
    path = saved(tmp_path / "a.pt", state, kind, epoch=7, optimizer=optimizer)
    assert models.load_published("jca", path, **options("jca")).compat


def test_of_two_sets_of_weights_none_is_chosen(tmp_path):
    state = drawn("jca", **options("jca"))
    path = saved(tmp_path / "a.pt", state, "model", ema=state)
    with pytest.raises(InputError, match=r"2 sets of weights \(model, ema\)"):
        models.load_published("jca", path, **options("jca"))


def test_weights_among_other_things_are_not_replaced_by_another_set(tmp_path):
    state = drawn("jca", **options("jca"))
    path = saved(tmp_path / "a.pt", {**state, "epoch": 3}, "state_dict", ema=state)
    with pytest.raises(InputError, match=r"1 of \d+ entries are no weights: epoch"):
        models.load_published("jca", path, **options("jca"))


@pytest.mark.parametrize(
    ("mended", "message"),
    [
        (lambda weight: weight + torch.nan, "no finite numbers"),
        (lambda weight: weight.to(torch.int8), "do not fit"),
    ],
)
def test_a_training_does_not_begin_with_weights_that_are_no_numbers(tmp_path, mended, message):
    state, net = drawn("jca", **options("jca")), models.create("jca", **options("jca"))
    name = next(iter(state))
    path = saved(tmp_path / "a.pt", {**state, name: mended(state[name])})
    with pytest.raises(InputError, match=message):
        published.begin(net, path)


def test_a_runs_checkpoint_has_a_licence_of_its_own_and_is_not_read_as_published(tmp_path):
    path = saved(tmp_path / "a.pt", drawn("jca", **options("jca")), "model", params={})
    with pytest.raises(InputError, match="without weights, only model, params"):
        models.load_published("jca", path, **options("jca"))


def test_published_sizes_are_the_default(tmp_path):
    net = models.load_published("jca_paper", saved(tmp_path / "a.pt", drawn("jca_paper")))
    assert net.vregressor[0].in_features == 640


def test_missing_and_extra_keys_are_named(tmp_path):
    state = drawn("jca", **options("jca"))
    state["something.else"] = state.pop("Joint.init_hidden")
    with pytest.raises(
        InputError, match=r"1 missing: Joint\.init_hidden; 1 too many: something\.else"
    ):
        models.load_published("jca", saved(tmp_path / "a.pt", state), **options("jca"))


def test_what_wrappers_put_before_keys_is_taken_off_once_only(tmp_path):
    state, own = drawn("jca", **options("jca")), "_orig_mod.module."
    wrapped = {f"{own}{key}": value for key, value in state.items()}
    net = models.load_published("jca", saved(tmp_path / "a.pt", wrapped), **options("jca"))
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())
    with pytest.raises(InputError, match="weights are there twice"):
        models.load_published("jca", saved(tmp_path / "b.pt", state | wrapped), **options("jca"))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1j])
def test_weights_that_are_no_numbers_are_named(tmp_path, odd):
    state = drawn("jca", **options("jca"))
    key = next(key for key in state if state[key].is_floating_point())
    state[key] = state[key] * torch.tensor(odd)
    with pytest.raises(InputError, match=f"no finite numbers: 1 of .*, first {re.escape(key)}"):
        models.load_published("jca", saved(tmp_path / "a.pt", state), **options("jca"))
    net = models.create("jca", **options("jca"))
    with pytest.raises(InputError, match="no finite numbers"):
        checkpoints.fill(net, {"model": state}, tmp_path / "a.pt")


def test_a_pointer_of_git_lfs_is_told_as_one(tmp_path):
    (tmp_path / "a.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(InputError, match="a pointer of Git LFS"):
        models.load_published("jca", tmp_path / "a.pt")


@pytest.mark.parametrize("text", ["time,valence\n0,0.1\n", "zeit\tgröße\n0\t1\n", "<html>\n<p>\n"])
def test_a_text_is_told_as_one(tmp_path, text):
    (tmp_path / "a.pt").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="a text, and no weights"):
        models.load_published("jca", tmp_path / "a.pt")


def test_the_network_that_a_file_is_of_is_named(tmp_path):
    path = saved(tmp_path / "a.pt", drawn("dca", **options("dca")))
    with pytest.raises(InputError, match="not the weights of jca") as told:
        models.load_published("jca", path, **options("jca"))
    assert "these are the keys of dca" in told.value.todo
    with pytest.raises(InputError) as told:
        models.load_published(
            "rjca", saved(tmp_path / "b.pt", drawn("tsav", **TSAV), "state_dict"), **options("rjca")
        )
    assert "tsav or tsav_backbone" in told.value.todo


def test_weights_of_another_size_are_named(tmp_path):
    path = saved(tmp_path / "a.pt", drawn("jca", **options("jca")))
    with pytest.raises(InputError, match="another size or kind: coattn"):
        models.load_published("jca", path, **{**options("jca"), "steps": 5})


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_says_so(tmp_path, share, legacy):
    whole = tmp_path / "whole.pt"
    torch.save(
        {"net": drawn("jca", **options("jca"))}, whole, _use_new_zipfile_serialization=not legacy
    )
    content = whole.read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="damaged") as told:
        models.load_published("jca", path, **options("jca"))
    assert "cut.pt" in told.value.where


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>Quota exceeded</html>", b"PK\x03\x04", b"\x80\x02}q\x00."]
)
def test_what_is_no_weights_file_says_so(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(InputError):
        models.load_published("jca", path)


class Malice:
    def __reduce__(self):
        return os.system, ("touch /tmp/this_must_never_appear_from_a_test",)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused_by_name_and_runs_nothing(tmp_path, how):
    path = tmp_path / "a.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Malice(), protocol=2))
    else:
        torch.save({"net": {}, "more": Malice()}, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(InputError, match=r"would run code: it names (posix|nt)\.system"):
        models.load_published("jca", path)
    assert not os.path.exists("/tmp/this_must_never_appear_from_a_test")


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.uint16])
def test_weights_of_a_kind_that_is_not_read_are_not_taken_for_code(tmp_path, kind):
    torch.save({"w": torch.ones(2).to(kind)}, tmp_path / "narrow.pt")
    with pytest.raises(InputError, match="a kind that is not read here") as caught:
        published.read(tmp_path / "narrow.pt")
    assert not isinstance(caught.value, published.UnsafeError)


def test_a_whole_pickled_module_is_refused_by_the_name_of_its_class(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.linear\.Linear"):
        models.load_published("jca", tmp_path / "a.pt")


def test_files_without_weights_and_absent_files_are_named(tmp_path):
    with pytest.raises(InputError, match="without weights, only epoch"):
        models.load_published("jca", saved(tmp_path / "a.pt", 3, "epoch"))
    with pytest.raises(InputError, match="not there"):
        models.load_published("jca", tmp_path / "b.pt")
    with pytest.raises(InputError, match="no published weights are known of 'resnet'"):
        models.load_published("resnet", tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "c.pt")
    with pytest.raises(InputError, match="a file with one list"):
        models.load_published("jca", tmp_path / "c.pt")


def test_the_same_list_is_allowed_and_no_more():
    buffer = io.BytesIO()
    torch.save(
        {"net": {}, "array": np.zeros(3)}, buffer
    )  # an array is rebuilt by a function that is not allowed
    buffer.seek(0)
    with (
        torch.serialization.safe_globals(checkpoints.SAFE_TYPES),
        pytest.raises(pickle.UnpicklingError),
    ):
        torch.load(buffer, weights_only=True)
