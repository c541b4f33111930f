"""Shared functions of the six notebooks: audio-visual recordings to per-frame affect. Importing it is cheap."""

from lib import threads

threads.spin_less()  # before anything imports PyTorch, which reads it once
