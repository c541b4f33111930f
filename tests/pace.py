"""That work ends, and does not grow faster than its input: on any machine, so without seconds."""

import contextlib
import signal
import time


@contextlib.contextmanager
def ends(seconds=60):
    """What hangs in here is stopped: TimeoutError. A bound for the slowest machine, no measure."""

    def stop(*_):
        raise TimeoutError(f"not ended after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def growth(work, small, large):
    """How many times the processor time of work(small) work(large) takes, the least of three each:
    ten times the input costs ten times where work is linear, a hundred times where it is quadratic.
    """
    return least(work, large) / least(work, small)


def least(work, size):
    took = []
    for _ in range(3):
        began = time.process_time()
        work(size)
        took.append(time.process_time() - began)
    return min(took)
