"""A tiny random WavLM and DINOv2, in folders as `save_pretrained` writes them."""

import json

import pytest
import torch

from lib.features import encoder_files

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
PICTURES = {"image_size": 28, "patch_size": 14}
GREY = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "crop_size": {"height": 28}}
KERNELS = {
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def saved(folder, net, **preprocessor):
    net.save_pretrained(folder)
    if preprocessor:
        (folder / encoder_files.PREPROCESSOR).write_text(json.dumps(preprocessor))
    return folder


def make(root):
    """The folders `wavlm` and `dino` in `root`; skips the test where transformers is missing."""
    transformers = pytest.importorskip("transformers", reason="the extra `encoders`")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wavlm = transformers.WavLMModel(transformers.WavLMConfig(**SMALL, **KERNELS))
        dino = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, **PICTURES))
    saved(root / "wavlm", wavlm, do_normalize=True, sampling_rate=16000)
    saved(root / "dino", dino, **GREY)
    return root
