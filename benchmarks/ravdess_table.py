"""The table of benchmarks/ravdess.py."""


def publish(data, work):
    pass
