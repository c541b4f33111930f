"""VGGish's original TensorFlow files as a file that `lib.models.load_published` reads. Needs TensorFlow, once.

    python -c "from lib.features import vggish_tensorflow as v; v.convert('vggish_model.ckpt', 'weights/vggish_tf.pth')"

The checkpoint is `vggish_model.ckpt` of the AudioSet release; `vggish_pca_params.npz` is whitening that LFAN does not
use (`convert_pca`, without TensorFlow). The variables' names are from memory (LFAN specification 1.7): a checkpoint
that has others is refused with those it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lib.errors import InputError

# TensorFlow's variable, and the layer of `lib.models.vggish` that it belongs to.
LAYERS = {"vggish/conv1": "features.0", "vggish/conv2": "features.3", "vggish/conv3/conv3_1": "features.6",
          "vggish/conv3/conv3_2": "features.8", "vggish/conv4/conv4_1": "features.11",
          "vggish/conv4/conv4_2": "features.13", "vggish/fc1/fc1_1": "embeddings.0",
          "vggish/fc1/fc1_2": "embeddings.2", "vggish/fc2": "embeddings.4"}


def state_dict(variables: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """TensorFlow's arrays by name -> weights by key: (h, w, in, out) to (out, in, h, w), (in, out) to (out, in)."""
    found = {}
    for name, layer in LAYERS.items():
        missing = [part for part in ("weights", "biases") if f"{name}/{part}" not in variables]
        if missing:
            raise InputError(f"no variable {name}/{missing[0]}", where="a checkpoint of VGGish",
                             expected=", ".join(list(variables)[:6]) or "variables of vggish_model.ckpt")
        weight = np.asarray(variables[f"{name}/weights"], np.float32)
        order = (3, 2, 0, 1) if weight.ndim == 4 else (1, 0)
        found[f"{layer}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.transpose(order)))
        found[f"{layer}.bias"] = torch.from_numpy(np.array(variables[f"{name}/biases"], np.float32))
    return found


def read(checkpoint: Path | str) -> dict[str, np.ndarray]:
    """All variables of a TensorFlow checkpoint. Raises InputError where TensorFlow is not installed."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise InputError("TensorFlow is not installed", where=checkpoint, expected="TensorFlow, for this step only",
                         todo="pip install tensorflow in an environment of its own and convert there; or take the "
                              "PyTorch port: `python -m lib weights get vggish`") from error
    reader = tf.train.load_checkpoint(str(checkpoint))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def convert(checkpoint: Path | str, target: Path | str) -> Path:
    """Write the weights of `vggish_model.ckpt` as a PyTorch file; returns its path."""
    torch.save(state_dict(read(checkpoint)), target)
    return Path(target)


def convert_pca(parameters: Path | str, target: Path | str) -> Path:
    """Write `vggish_pca_params.npz` as a PyTorch file with the keys of the port; LFAN does not use it."""
    with np.load(parameters) as found:
        names = ("pca_eigen_vectors", "pca_means")
        if missing := [name for name in names if name not in found]:
            raise InputError(f"no array {missing[0]}", where=parameters, expected="vggish_pca_params.npz")
        arrays = {name: torch.from_numpy(np.asarray(found[name], np.float32)) for name in names}
    arrays["pca_means"] = arrays["pca_means"].flatten()
    torch.save(arrays, target)
    return Path(target)
