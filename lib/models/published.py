"""Weight files as the authors of the papers published them, read as data and never as a program.

Most such files are pickles, read as `checkpoints.contents` says; those of TensorFlow.js are a
manifest with numbers beside it (`tensor_manifest`).
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..media.bounds import RefusedError
from . import tensor_manifest, tensorflow_layout, weights
from .base import Model
from .blocks.residual import PLANES
from .checkpoints import contents, is_run, misfits, require_numbers
from .networks import REGISTRY

# (45, 4 or 3, 1, 7, 7): the only weight that sees the channels
STEM = "video_model.r2plus1d.stem.0.weight"
MANIFEST = ".json"  # suffix of a manifest as TensorFlow.js publishes weights
NARROW = "torch._utils._rebuild_tensor_v3"  # names float8 and uint16 in a file, and no other kind
LFS_POINTER = b"version https://git-lfs"
WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # of several GPUs, of torch.compile
CONTAINERS = ("state_dict", "net")  # TSAV's and JCA's name for the weights in their files
_RESEARCH = (
    "The authors of TSAV (github.com/kuhnkeF/ABAW2020TNT) give these weights for research only; "
    "cite Kuhnke, "
    "Rumberg and Ostermann (FG 2020)."
)
_RESERVED = (
    "The authors published no licence with these weights, so all rights are theirs: ask them "
    "(github.com/praveena2j) before any use beyond reading, and cite the paper of the method."
)
_UNKNOWN = (
    "No licence is known of these weights (linked from github.com/sucv/ABAW3). They learnt from "
    "MS-Celeb-1M, "
    "FER+ and Aff-Wild2, whose terms are research only: ask the authors before any other use, and "
    "cite "
    "Zhang, Ding, Wei and Guan (ICCVW 2021)."
)
_FACE_API_LICENCE = (
    "MIT (github.com/vladmandic/face-api, from github.com/justadudewhohacks/face-api.js; keep both "
    "notices). Which pictures the weights learnt from is not known, so the rights in those are "
    "unexamined."
)
_APACHE = "Apache-2.0 (Google's VGGish; PyTorch port github.com/harritaylor/torchvggish)."
LICENCES = {
    "tsav": _RESEARCH,
    "tsav_backbone": _RESEARCH,
    **dict.fromkeys(("jca", "rjca", "dca", "jca_paper", "jca_512"), _RESERVED),
    **dict.fromkeys(("lfan_backbone", "lfan_visual", "lfan", "lfan_v2", "can"), _UNKNOWN),
    "vggish": _APACHE,
    **dict.fromkeys(("face_api", "face_api_landmarks"), _FACE_API_LICENCE),
    "light_asd": "MIT (github.com/Junhua-Liao/Light-ASD); cite Liao et al. (CVPR 2023).",
    "lr_asd": "MIT (github.com/Junhua-Liao/LR-ASD); cite Liao et al. (IJCV 2025).",
    **dict.fromkeys(
        ("talknet", "talknet_mrope"),
        "The code of TalkNet (github.com/TaoRuijie/TalkNet-ASD) is MIT, its Ego4D version has no "
        "licence; cite Tao et al. (ACM Multimedia 2021).",
    ),
}
# key that identifies the file of a network that tells who speaks
SPEAKER_HEAD = "lossAV.FC.weight"
# buffers that the Ego4D version of TalkNet saves with its heads
CLASS_WEIGHTS = ".criterion.weight"
# Exceptions of unreadable files, each seen with a file that was cut or altered.
_UNREADABLE = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    OSError,
    OverflowError,
    MemoryError,
    struct.error,
)


class UnsafeError(InputError):
    """A file that contains more than data."""


def load_published(name: str, path: Path | str, **options: object) -> Model:
    """A published network with its authors' weights, to evaluate, by published rules (`compat`).

    Arguments
    ---------
    name : "tsav" or "tsav_backbone" (TSAV416k.pth.tar, TSAV_Sub4_544k.pth.tar), "jca", "rjca",
        "dca", "jca_paper" or "jca_512" (cam_model.pt, jointcam_model.pt), "light_asd"
        (light_asd_ava.model, light_asd_talkset.model), "lr_asd" (lr_asd_ava.model,
        lr_asd_talkset.model), "talknet" or "talknet_mrope"
        (pretrain_AVA.model, pretrain_TalkSet.model), "lfan_backbone" (res50_ir_0.887.pth), "lfan",
        "lfan_visual", "lfan_v2" or "can" (model_state_dict.pth), "vggish" (vggish-10086976.pth),
        "face_api" or "face_api_landmarks" (their ….json, the numbers beside it).
    path : the file. `module.` (several GPUs) and `_orig_mod.` (torch.compile) before keys are taken
        off.
    options : of the network where the file is not of the published size; ``channels=3`` cuts the
        mask's weights off a file for four channels, as JCA did (`tsav_backbone` has three anyway).

    The network's `licence` is that of the weights; a program that loads them must show it. Raises
    InputError for a file that is damaged, holds more than data, or is of another network.
    """
    licence(name, path)
    return fill(REGISTRY[name](compat=True, **options), path)


def licence(name: str, path: Path | str = "") -> str:
    """The licence of a network's published weights. Raises InputError for an unknown network."""
    if name not in LICENCES:
        raise InputError(
            f"no published weights are known of {name!r}",
            where=path,
            expected=" or ".join(LICENCES),
        )
    return LICENCES[name]


def fill(net: Model, path: Path | str) -> Model:
    """`load_published` into an existing network with `compat`; returns it."""
    if Path(path).suffix == MANIFEST:
        tensorflow_layout.fill(net, path)
        net.licence = licence(net.name, path)
        return net
    name, state, expected = net.name, weights_in(read(path), path), net.state_dict()
    state = _without_mask(state, expected)
    _require_fit(name, state, expected, path)
    require_numbers(state, path)
    net.load_state_dict(state)
    net.licence = licence(name, path)
    return net.eval().requires_grad_(False)


def read(path: Path | str) -> dict:
    """The content of a weights file, without running code in it. Raises InputError for an
    unreadable one.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            "the weights file is not there",
            where=path,
            todo="correct the name, or put the file there",
        )
    if path.suffix == MANIFEST:
        return {"manifest": tensor_manifest.read(path)}
    if _is_text(path):
        raise InputError(
            "a text, and no weights",
            where=path,
            expected="a file as torch.save writes it",
            todo="correct the name",
        )
    try:
        content = contents(path)
    except InputError:
        raise
    except RefusedError as error:
        raise UnsafeError(
            f"a weights file that would grow beyond its size: {error}",
            where=path,
            expected="a file as torch.save writes it",
            todo="do not open it with anything else; ask where it comes from",
        ) from error
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from error
    except _UNREADABLE as error:
        raise InputError(
            f"a weights file that is damaged or cut short ({path.stat().st_size:,} bytes)",
            where=path,
            expected="a file as torch.save writes it",
            todo="download or copy it again",
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(
            f"a file with one {type(content).__name__}", where=path, expected="named weights"
        )
    return dict(content)


def _is_text(path: Path) -> bool:
    """Whether a file begins with lines of text, as a table does; a pointer of Git LFS does, too,
    and is told otherwise.
    """
    with path.open("rb") as stream:
        head = stream.read(512)
    lines = head.decode("utf-8", "ignore").replace("\t", " ").splitlines()
    is_pointer = head.startswith(LFS_POINTER)
    return len(lines) > 1 and not is_pointer and all(map(str.isprintable, lines))


def _refused(path: Path, message: str) -> InputError:
    """Why PyTorch's restricted reader stopped: a name that could run code, or no such file."""
    name = re.search(
        r"GLOBAL (\S+)|Trying to (?:instantiate|call) (?:\w+ )*?([\w.]+\.[\w.]+)", message
    )
    with path.open("rb") as stream:
        is_pointer = stream.read(len(LFS_POINTER)) == LFS_POINTER
    if is_pointer:
        return InputError(
            "a pointer of Git LFS, which stands for the weights and holds none",
            where=path,
            todo="fetch the file itself: `git lfs pull`, or the site's download button",
        )
    if name is None:
        return InputError(
            "a weights file that is damaged or no file of PyTorch's",
            where=path,
            expected="a file as torch.save writes it",
            todo="download or copy it again",
        )
    if NARROW in name.groups():
        return InputError(
            "weights of a kind that is not read here (float8, or whole numbers without a sign)",
            where=path,
            expected="float32, float16 or bfloat16",
            todo="convert them where they come from: `tensor.float()`, then torch.save",
        )
    return UnsafeError(
        f"a file that would run code: it names {name.group(1) or name.group(2)}",
        where=path,
        expected="tensors, numbers and text only",
        todo="do not open it with anything else; ask where it comes from",
    )


def weights_in(content: Mapping, path: Path | str) -> dict[str, torch.Tensor]:
    """The state dict in what `read` returned, without what a wrapper put before its keys
    (`WRAPPERS`). Named weights may also lie under one key of any name, with other things beside it;
    but not in the checkpoint of a run here, whose licence is its own.
    """
    sets = [key for key in CONTAINERS if isinstance(content.get(key), Mapping)][:1]
    if not sets and not is_run(content):
        sets = [key for key, value in content.items() if _is_state(value)]
    if len(sets) > 1:
        raise InputError(
            f"{len(sets)} sets of weights ({', '.join(map(str, sets))})",
            where=path,
            expected="one",
            todo="save the set that you mean alone",
        )
    state = content[sets[0]] if sets else content
    if not _is_state(state):
        others = [key for key, value in state.items() if not isinstance(value, torch.Tensor)]
        what = "a file without weights, only"
        if len(others) < len(state):
            what = f"{len(others)} of {len(state)} entries are no weights:"
        raise InputError(
            f"{what} {', '.join(map(str, others[:5])) or 'nothing'}",
            where=path,
            expected=f"named tensors, alone or under {' or '.join(CONTAINERS)}",
            todo="save the network's state dict alone",
        )
    renamed = {WRAPPERS.sub("", str(key)): value for key, value in state.items()}
    if len(renamed) < len(state):
        raise InputError(
            f"{len(state) - len(renamed)} weights are there twice, with module. before and without",
            where=path,
            expected="one state dict",
        )
    return {key: value for key, value in renamed.items() if not key.endswith(CLASS_WEIGHTS)}


def _is_state(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(item, torch.Tensor) for item in value.values())
    )


def _require_fit(name: str, state: Mapping, expected: Mapping, path: Path | str) -> None:
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if not missing and not extra:
        wrong = [
            f"{key} {tuple(state[key].shape)}, here {tuple(expected[key].shape)}"
            for key in expected
            if state[key].shape != expected[key].shape
        ]
        wrong += [
            f"{key} {state[key].dtype}, here {expected[key].dtype}"
            for key in expected
            if expected[key].is_floating_point()
            and not (state[key].is_floating_point() or state[key].is_complex())
        ]
        if wrong:
            raise InputError(
                f"weights of another size or kind: {_listed(wrong)}",
                where=path,
                expected=f"the published sizes of {name}",
                todo="give the options of that network",
            )
        return
    others = [other for other in networks_of(state) if other != name]
    both = (("missing", missing), ("too many", extra))
    parts = [f"{len(keys)} {what}: {_listed(keys)}" for what, keys in both if keys]
    todo = "is this the right file?"
    if others:
        todo = f"these are the keys of {' or '.join(others)}: load it as that"
    raise InputError(
        f"not the weights of {name}; {'; '.join(parts)}",
        where=path,
        expected=f"{len(expected)} keys",
        todo=todo,
    )


def networks_of(state: Mapping) -> list[str]:
    """Names of the networks whose published weights have the names of a state dict."""
    return [name for name in LICENCES if _keys(name) == state.keys()]


def _keys(name: str) -> set[str]:
    with torch.device("meta"):  # meta device: no memory, no numbers
        return set(REGISTRY[name](compat=True).state_dict())


def _listed(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def pretrained(net: nn.Module, weights_root: Path, fetched: bool = True) -> nn.Module:
    """Fill both encoders of a TSAV network of width 1, not its last layer. Returns the network.

    Arguments
    ---------
    weights_root : folder of the files `weights.INITIAL`, torchvision's. fetched : whether absent
        ones are downloaded into it.

    The first layers differ from the published ones of these networks: colours are copied and a mask
    channel keeps its weights (specification 1.5); the one channel of a spectrogram gets the sum
    over the three colours, what a grey picture would have met. Raises InputError for another width,
    or when the files cannot be had or are other ones.
    """
    video, audio = net.video_model["r2plus1d"], net.audio_model["resnet"]
    if audio.conv1.out_channels != PLANES:
        raise InputError(
            f"a network with {audio.conv1.out_channels} channels in its first stage",
            where="initial",
            expected=f"{PLANES}: pretrained weights exist for width 1 only",
            todo="set `width: 1.0`, or `initial: random`",
        )
    get = weights.get if fetched else weights.find
    seen, heard = (weights_in(read(file), file) for file in _initial(get, weights_root))
    stem = video.stem[0].weight.detach().clone()
    stem[:, :3] = seen["stem.0.weight"]
    _fill(video, {**seen, "stem.0.weight": stem})
    _fill(audio, {**heard, "conv1.weight": heard["conv1.weight"].sum(dim=1, keepdim=True)})
    return net


def _initial(get: Callable, weights_root: Path) -> list[Path]:
    try:
        return [get(name, weights_root) for name in weights.INITIAL]
    except weights.AbsentError as error:
        raise InputError(
            error.what,
            where=error.where,
            expected=error.expected,
            todo=f"{error.todo}; or set `initial: random`",
        ) from error


def fetch(known) -> dict[str, Tensor]:
    """The published weights that an enum of torchvision names. Raises InputError without them."""
    try:
        return dict(known.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:  # the last: its check-sum is wrong
        raise InputError(
            f"the weights {known} cannot be had ({error})",
            where=known.url,
            expected="a connection, or the file in PyTorch's cache",
            todo=f"put it into {torch.hub.get_dir()}/checkpoints/, or set `weights: random`",
        ) from error


def _fill(net: nn.Module, state: dict[str, Tensor]) -> None:
    net.load_state_dict(
        {name: value for name, value in state.items() if not name.startswith("fc.")}
    )


def begin(net: nn.Module, path: Path) -> nn.Module:
    """Initialise a network for training with the weights of a checkpoint of ours or of a published
    file.

    If the file's first layer has four channels and the network's three, the mask's weights are cut
    off. Raises InputError for a weight that is missing, superfluous, or of another shape.
    """
    content, mine = read(path), net.state_dict()
    its = content["model"] if is_run(content) else weights_in(content, path)
    its = _without_mask(its, mine)
    if wrong := misfits(mine, its):
        raise InputError(
            f"{len(wrong)} of {len(mine)} weights do not fit this network, the first is {wrong[0]}",
            where=path,
            expected="weights of the same network in the same sizes",
            todo="set recipe, width, face_size and options as in the params.yaml of that run",
        )
    require_numbers(its, path)
    net.load_state_dict(its)
    return net


def _without_mask(state: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without those of channels that the first layer of a network lacks."""
    if STEM not in expected or STEM not in state or state[STEM].ndim != expected[STEM].ndim:
        return state
    return {**state, STEM: state[STEM][:, : expected[STEM].shape[1]]}
