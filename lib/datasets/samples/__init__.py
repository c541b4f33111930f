"""Synthetic data sets that need no licence: faces and voices made from curves."""
