"""Recursive joint cross-attention (RJCA): JCA with an LSTM on each modality."""

from __future__ import annotations

from . import jca


class Recipe(jca.Recipe):
    """RJCA: windows, features and loss are JCA's."""

    network = "rjca"
