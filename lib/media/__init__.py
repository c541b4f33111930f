"""Recordings, sound, pictures and containers: reading and writing files."""
