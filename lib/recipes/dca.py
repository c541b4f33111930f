"""Dynamic cross-attention (DCA): RJCA with gates between attended and unattended features."""

from __future__ import annotations

from . import jca


class Recipe(jca.Recipe):
    """DCA: windows, features and loss are JCA's."""

    network = "dca"
