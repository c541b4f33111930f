"""Experiments: parameter file to run folder, reports, sweeps and the command line."""
