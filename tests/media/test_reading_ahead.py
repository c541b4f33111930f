"""A thread prepares what is needed next, in its order, and no more than it may."""

import gc
import threading
import time

import pytest

from lib.media.reading_ahead import ahead


class Counted:
    """A generator of 0, 1, 2, … that counts what it made and says when it was closed."""

    def __init__(self, fails_at: int = 1000):
        self.made, self.closed, self._fails_at = 0, False, fails_at

    def items(self):
        try:
            while True:
                if self.made == self._fails_at:
                    raise ValueError("a damaged picture")
                self.made += 1
                yield self.made - 1
        finally:
            self.closed = True


@pytest.mark.parametrize("most", [1, 5])
def test_the_next_items_are_prepared_while_one_is_worked_on(most):
    source = Counted()
    items = ahead(source.items(), most)
    assert next(items) == 0
    began = time.monotonic()
    while source.made < 1 + most and time.monotonic() < began + 20:
        time.sleep(0.01)
    time.sleep(0.05)
    assert source.made == 1 + most  # and not more, which would fill the memory
    assert [next(items) for _ in range(20)] == list(range(1, 21))
    items.close()
    assert source.closed


def test_all_items_come_in_their_order_and_then_none():
    assert list(ahead((number for number in range(50)), 7)) == list(range(50))
    assert list(ahead((number for number in range(0)), 7)) == []


def test_what_the_generator_raises_comes_after_the_items_before_it():
    source = Counted(fails_at=4)
    items = ahead(source.items(), 3)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="a damaged picture"):
        next(items)
    assert source.closed


def test_no_thread_stays_when_a_caller_stops_early():
    before = threading.active_count()
    for item in ahead((number for number in range(50)), 4):
        if item == 10:
            break
    gc.collect()
    assert threading.active_count() == before
