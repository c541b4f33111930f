"""Who speaks: windows, losses, scores, files and videos (notebooks 04 to 06)."""
