"""Faces: found, followed, aligned, cropped, and stored per frame (notebook 02)."""
