"""What a card can hold: bytes of each recipe's training at full size, counted, not measured.

    python benchmarks/gpu_memory.py            # the table of docs/gpu.md

Networks are built without memory (PyTorch's device "meta") and run once. Counted are weights,
gradients and both moments of AdamW (16 bytes a weight), half-precision copies of the weights, and
every tensor that the forward pass keeps for the gradient, in half precision, as autocast keeps it.
A card is taken to hold 85 % of its memory: the driver, workspaces of cuDNN and gaps need the rest.
Operations are counted by PyTorch, a training step as three forward passes; hours are those at a
fifth of the card's peak, an assumption, without the time to read.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import pandas as pd
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from lib import parameters, recipes
from lib.files import ROOT

# GB, and peak of half precision with tensor cores in TFLOP/s, from the makers' data sheets.
CARDS = {"T4": (15, 65), "RTX 4090": (24, 165), "A100": (80, 312)}
PARAMS = ("tsav", "jca", "rjca", "dca", "jca_paper", "lfan")
FRAMES = 1_900_000  # of Aff-Wild2's train trials, about: 2.8 million in all (docs/reproduce.md)
USABLE, SHARE_OF_PEAK, STEP = 0.85, 0.2, 3
HALF = 2  # bytes


def kept(net: torch.nn.Module, batch: dict) -> float:
    """Bytes that a forward pass keeps for the gradient, each memory once, weights aside."""
    own = {weight.untyped_storage()._cdata for weight in net.parameters()}
    sizes = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            # The storage is held, so that its number is not used again.
            share = HALF / 4 if tensor.dtype == torch.float32 else 1
            sizes[storage._cdata] = (storage.nbytes() * share, storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = net(batch)
    assert all(value.device.type == "meta" for value in outputs.values())
    return sum(size for size, _ in sizes.values())


def inputs(shapes: dict, size: int) -> dict:
    return {name: torch.empty(size, *shape, device="meta") for name, shape in shapes.items()}


def network(name: str, recompute: bool = False) -> tuple:
    """(network on "meta", shapes of a sample, samples per epoch, parameters) of an experiment."""
    values = yaml.safe_load((ROOT / "params" / f"affwild2_{name}.yaml").read_text())
    p = parameters.placed({**values, "device": "cpu"})
    with torch.device("meta"):
        sketch = recipes.create(p.recipe, p, None).sketch()
    net = sketch.net.to("meta").train()
    if recompute:
        net.video_model["r2plus1d"].recompute = True
    shapes = {key: shape for key, shape in sketch.shapes.items() if key != "valid"}
    return net, shapes, FRAMES / sketch.learnt, p


def count(name: str, recompute: bool = False) -> dict:
    """Bytes of the weights and of a sample, operations of a sample's forward pass."""
    net, shapes, samples, p = network(name, recompute)
    fixed = sum(
        (16 if w.requires_grad else 4) * w.numel() + HALF * w.numel() for w in net.parameters()
    )
    sizes = [kept(net, inputs(shapes, size)) for size in (2, 4)]
    each = (sizes[1] - sizes[0]) / 2
    if recompute:  # beside what goes into each block, the inside of the largest one at a time
        each += largest_block(net, shapes)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(inputs(shapes, 2))
    facts = {"fixed": fixed, "each": each, "operations": counter.get_total_flops() / 2}
    return facts | {"samples": samples, "batch": p.batch_size, "epochs": p.epochs}


def largest_block(net: torch.nn.Module, shapes: dict) -> float:
    """Bytes a sample that the largest recomputed block keeps while its gradient is computed."""
    encoder, found = net.video_model["r2plus1d"], []
    x = encoder.stem(inputs({"clip": shapes["clip"]}, 2)["clip"])
    for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        for block in stage:
            found.append(kept(_Named(block), x.detach()) / 2)
            x = block(x)
    return max(found)


class _Named(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return {"x": self.block(x)}


def row(label: str, facts: dict, card: str) -> dict:
    memory, peak = CARDS[card]
    fits = int((USABLE * memory * 1e9 - facts["fixed"]) // facts["each"])
    parts = -(-facts["batch"] // fits) if fits > 0 else 0
    operations = STEP * facts["operations"] * facts["samples"] * facts["epochs"]
    return {
        "recipe": label,
        "card": f"{card}, {memory} GB",
        "GB of the weights": f"{facts['fixed'] / 1e9:.2f}",
        "MB per sample": f"{facts['each'] / 1e6:.1f}",
        "batch asked for": facts["batch"],
        "fits at once": fits,
        "parts": parts,
        "hours": f"{operations / (SHARE_OF_PEAK * peak * 1e12) / 3600:.2g}",
    }


def table() -> pd.DataFrame:
    rows = []
    for name in PARAMS:
        for recompute in (False, True) if name == "tsav" else (False,):
            facts = count(name, recompute)
            label = f"{name}, recompute" if recompute else name
            rows += [row(label, facts, card) for card in CARDS]
    return pd.DataFrame(rows)


def markdown(found: pd.DataFrame) -> str:
    lines = [found.columns, ["---"] * len(found.columns), *found.astype(str).to_numpy()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    print(markdown(table()))
