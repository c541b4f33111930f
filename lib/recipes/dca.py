"""Dynamic cross-attention (DCA): RJCA with gates between attended and unattended features."""

from __future__ import annotations

from . import jca
from .papers import Paper, Setting


class Recipe(jca.Recipe):
    """DCA: windows, features and loss are JCA's."""

    network = "dca"
    paper = Paper(
        ("affwild2_dca",),
        (
            *jca.FEATURE_SETTINGS,
            Setting("epochs", 100),
            Setting("batch_size", 64),
            Setting("lr", 3.0e-4),
            Setting("weight_decay", 1.0e-5),
            Setting("features", "positions"),
        ),
        (*jca.DIFFERENCES, jca.POSITIONS),
    )
