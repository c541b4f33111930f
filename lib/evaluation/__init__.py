"""Prediction, scores, smoothing, submission files, merged runs and comparisons (notebook 06)."""
