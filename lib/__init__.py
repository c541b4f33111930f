"""Shared functions of the six notebooks: audio-visual recordings to per-frame affect. Importing it is cheap."""
