"""The base of every network: named inputs and outputs with shapes, options, a readable `repr`."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .. import code_digest
from ..errors import InputError

REGISTRY: dict[str, type[Model]] = {}
LINE_WIDTH = 100  # columns of a model's description: a notebook's page
MODALITIES = ("audiovisual", "audio", "video")
SIZES = {"width", "face_size", "steps", "visual_channels", "visual_positions", "audio_channels"}


def scaled(channels: int, width: float) -> int:
    """Channels at a width, at least one."""
    return max(1, round(channels * width))


def arguments(values: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a network's `__init__`, from `locals()` in its first statement."""
    return {name: value for name, value in values.items() if name not in ("self", "__class__")}


@dataclass(frozen=True)
class Rows:
    """A number of rows that follows from a number of steps, as rows reach to the last step.

    of : the letter of the steps. step_hop, every : frames from a step, from a row, to the next.
    """

    of: str
    step_hop: int
    every: int

    def count(self, steps: int) -> int:
        """ceil((steps − 1) · step_hop / every) + 1."""
        return -(-(steps - 1) * self.step_hop // self.every) + 1

    def __str__(self) -> str:
        return f"ceil(({self.of} - 1) * {self.step_hop} / {self.every}) + 1"


class Model(nn.Module):
    """A network from a mapping of named tensors to a mapping of named tensors.

    A subclass calls `super().__init__(**arguments(locals()))` first, or names its options; it sets
    `inputs` and `outputs` (name -> shape, with B samples, L or T steps) and defines
    `forward(batch)`. `class Net(Model, name="net")` registers it for `lib.models.create`.
    """

    name: str = ""
    licence: str = ""  # licence of published weights; "" for our own
    inputs: dict[str, str]
    outputs: dict[str, str]

    def __init_subclass__(cls, name: str = "", **more: object):
        super().__init_subclass__(**more)
        if name:
            before = REGISTRY.get(name)
            if before and before.__module__ != cls.__module__:  # a module may be loaded anew
                raise InputError(
                    f"two networks are called {name!r}",
                    where=f"{before.__module__} and {cls.__module__}",
                    expected="a name for each: one would silently stand for the other",
                    todo=f"change name={name!r} in the file that was added",
                )
            cls.name = name
            REGISTRY[name] = cls

    def __init__(self, compat: bool = False, **options: object):
        super().__init__()
        code_digest.use(type(self).__module__)
        self.compat = compat
        self.options = options
        self.inputs, self.outputs = {}, {}
        if options.get("modality", MODALITIES[0]) not in MODALITIES:
            raise self.wrong(f"modality {options['modality']!r}", " or ".join(MODALITIES))
        for option in SIZES & options.keys():
            if not options[option] > 0:
                raise self.wrong(f"{option} = {options[option]}", "above 0")

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def wrong(self, what: str, expected: str) -> InputError:
        """The error of an option or an input that this network cannot take."""
        return InputError(what, where=f"model {self.name}", expected=expected)

    def take(self, batch: Mapping[str, Tensor], name: str) -> Tensor:
        """The named input, or an error that lists the present inputs."""
        if name not in batch:
            raise self.wrong(
                f"no input {name!r}, only {', '.join(batch) or 'nothing'}",
                f"{name} {self.inputs.get(name, '')}",
            )
        return batch[name]

    def shapes(self, **letters: int) -> dict[str, tuple[int, ...]]:
        """Shape of one sample of every input that is needed, as `inputs` declares them.

        letters : values for sizes that the network leaves open, such as T=300 for its frames.
        Raises InputError for a letter that is not given.
        """

        def size(part: str) -> int:
            number, letter = re.fullmatch(r"(\d*)([A-Z]?)", part).groups()
            if letter and letter not in letters:
                raise self.wrong(f"no size is given for {letter}", _listed(self.inputs))
            return int(number or 1) * letters.get(letter, 1)

        needed = {
            name: shape for name, shape in self.inputs.items() if not shape.endswith("optional")
        }
        shapes = {}
        for name, shape in needed.items():
            parts = shape[1 : shape.index(")")].split(", ")[1:]
            shapes[name] = tuple(math.prod(map(size, part.split("·"))) for part in parts)
        return shapes

    def limits(self) -> dict[str, tuple[int, int]]:
        """Limits of the sizes that `inputs` leave open: letter -> (1, 16), 0 for no limit.

        A letter that is not named may be any size from 1 on.
        """
        return {}

    def lengths(self) -> dict[str, Rows]:
        """Letters of `inputs` whose size follows from that of another letter; {} for none."""
        return {}

    def folded(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A copy in its fastest form for prediction; outputs are the same up to rounding.

        dtype : inside encoders that can be folded; bfloat16 is less exact. Most networks have none
            and return themselves.
        """
        return self

    def __repr__(self) -> str:
        count = {
            name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()
        }
        total = sum(p.numel() for p in self.parameters())
        chosen = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        rows = [
            ("rules", "published" if self.compat else "corrected"),
            ("inputs", _listed(self.inputs)),
            ("outputs", _listed(self.outputs)),
            ("parts", " · ".join(f"{name} {n:,}" for name, n in count.items() if n)),
            ("weights", f"{total:,}"),
        ]
        rows += [("licence", self.licence)] if self.licence else []
        first = textwrap.wrap(
            f"{self.name}({chosen})", LINE_WIDTH, subsequent_indent=" " * (len(self.name) - 1)
        )
        return "\n  ".join([*first, *(f"{label:8} {text}" for label, text in rows)])


def _listed(shapes: dict[str, str]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())
