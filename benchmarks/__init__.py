"""Scripts that measure, and the dated results that they wrote; tests import some of them."""
