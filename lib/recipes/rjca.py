"""Recursive joint cross-attention (RJCA): JCA with an LSTM on each modality."""

from __future__ import annotations

from . import jca
from .papers import Difference, Paper, Setting


class Recipe(jca.Recipe):
    """RJCA: windows, features and loss are JCA's."""

    network = "rjca"
    paper = Paper(
        ("affwild2_rjca",),
        (*jca.FEATURE_SETTINGS, *jca.TRAINING_SETTINGS, Setting("features", "positions")),
        (
            *jca.DIFFERENCES,
            jca.POSITIONS,
            Difference(
                "recursions of RJCA",
                "several in the paper, one block in its published file",
                "one block",
                "as in the file, so that it can be loaded",
                only_corrected=False,
            ),
        ),
    )
