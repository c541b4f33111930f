"""Work on many trials at once: processes, Dask, clusters, progress."""

from .mapping import Outcome, map

__all__ = ["Outcome", "map"]
