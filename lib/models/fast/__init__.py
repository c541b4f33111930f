"""Faster forms of the networks for prediction, with the same outputs."""
