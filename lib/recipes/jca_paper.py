"""Joint cross-attention as the paper's equations print it, on pooled features."""

from __future__ import annotations

from . import jca
from .papers import Difference, Paper, Setting


class Recipe(jca.Recipe):
    """`jca_paper`: windows, features and loss are JCA's; features must be pooled."""

    network = "jca_paper"
    paper = Paper(
        ("affwild2_jca_paper",),
        (*jca.FEATURE_SETTINGS, *jca.TRAINING_SETTINGS, Setting("features", "pooled")),
        (
            *jca.DIFFERENCES,
            Difference(
                "what the heads of JCA's printed form get",
                "raw pictures beside attended ones (its code), both attended (the paper)",
                "both attended",
                "as the paper prints it, and its author confirms",
            ),
        ),
    )
