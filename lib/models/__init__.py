"""The networks. `create(name, **options)` makes one; each model file registers its own class.

A new network is one new file in this folder (`affect/`, `speakers/`) with a subclass of
`lib.models.base.Model`:

    class MyFusion(Model, name="my_fusion"):
        def __init__(self, compat: bool = False, *, audio_channels: int = 512): ...
        def forward(self, batch): ...

Importing this package alone is cheap: `weights`, the registry of published files, needs no PyTorch.
Modules of `lib` name the modules here (`networks`, `published`), so that code digests follow them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "REGISTRY": "networks",
    "Model": "base",
    "create": "networks",
    "options": "networks",
    "LICENCES": "published",
    "load_published": "published",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
