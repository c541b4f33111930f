"""Joint cross-attention as the paper's equations print it, on pooled features."""

from __future__ import annotations

from . import jca


class Recipe(jca.Recipe):
    """`jca_paper`: windows, features and loss are JCA's; features must be pooled."""

    network = "jca_paper"
