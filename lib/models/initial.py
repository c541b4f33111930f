"""Weights to begin TSAV with that others trained: R(2+1)D-18 on Kinetics-400, ResNet-18 on ImageNet.

They are torchvision's, fetched by its own enums when a person asks for them (`initial: pretrained`), never at import.
"""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn

from lib.checkpoints import misfits
from lib.errors import InputError
from lib.models import published
from lib.models.r2plus1d import PLANES


def pretrained(net: nn.Module) -> nn.Module:
    """Fill both encoders of a TSAV network of width 1; its last layer stays as it is. Returns the network.

    The first layers differ from the published ones of these networks: colours are copied and a mask channel keeps its
    weights (specification 1.5); the one channel of a spectrogram gets the sum over the three colours, what a grey
    picture would have met. Raises InputError for another width, or when the files cannot be had.
    """
    from torchvision.models import ResNet18_Weights
    from torchvision.models.video import R2Plus1D_18_Weights

    video, audio = net.video_model["r2plus1d"], net.audio_model["resnet"]
    if audio.conv1.out_channels != PLANES:
        raise InputError(f"a network with {audio.conv1.out_channels} channels in its first stage", where="initial",
                         expected=f"{PLANES}: pretrained weights exist for width 1 only",
                         todo="set `width: 1.0`, or `initial: random`")
    seen, heard = fetch(R2Plus1D_18_Weights.KINETICS400_V1), fetch(ResNet18_Weights.IMAGENET1K_V1)
    stem = video.stem[0].weight.detach().clone()
    stem[:, :3] = seen["stem.0.weight"]
    _fill(video, {**seen, "stem.0.weight": stem})
    _fill(audio, {**heard, "conv1.weight": heard["conv1.weight"].sum(dim=1, keepdim=True)})
    return net


def fetch(weights) -> dict[str, Tensor]:
    """The published weights that an enum of torchvision names. Raises InputError when they cannot be had."""
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:   # the last: its check-sum is wrong
        raise InputError(f"the weights {weights} cannot be had ({error})", where=weights.url,
                         expected="a connection, or the file in PyTorch's cache",
                         todo=f"put it into {torch.hub.get_dir()}/checkpoints/, or set `initial: random`") from error


def _fill(net: nn.Module, state: dict[str, Tensor]) -> None:
    net.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})


def begin(net: nn.Module, path: Path) -> nn.Module:
    """Give a network the weights of a checkpoint of ours, or of a file as its authors published it, to train on.

    Of a first layer for four channels the mask's weights are cut off where the network has three. Raises InputError
    where a weight is missing, too many, or of another shape.
    """
    found, mine = published.read(path), net.state_dict()
    its = found["model"] if "model" in found else published.weights_in(found, path)
    if published.STEM in mine and published.STEM in its:
        its = {**its, published.STEM: its[published.STEM][:, :mine[published.STEM].shape[1]]}
    if wrong := misfits(mine, its):
        raise InputError(f"{len(wrong)} of {len(mine)} weights do not fit this network, the first is {wrong[0]}",
                         where=path, expected="weights of the same network in the same sizes",
                         todo="set recipe, width, face_size and options as in the params.yaml of that run")
    net.load_state_dict(its)
    return net
