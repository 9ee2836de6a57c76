import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lbt_dspy.lms.embedded.together import Together


class Squares:
    """Notes what it was asked; fails where a negative number is among the items."""

    def __init__(self):
        self.seen = []
        self.first, self.go = threading.Event(), threading.Event()
        self._alone = threading.Lock()

    def __call__(self, items):
        assert self._alone.acquire(blocking=False), "two threads work at once"
        try:
            self.seen.append(list(items))
            self.first.set()
            self.go.wait(10)
            if min(items, default=0) < 0:
                raise ValueError("negative")
            return [item**2 for item in items]
        finally:
            self._alone.release()


@pytest.fixture
def work():
    return Squares()


def test_each_thread_gets_its_results_and_each_item_is_worked_on_once(work):
    work.go.set()
    together = Together(work)
    asked = [list(range(i, i + i % 5)) for i in range(500)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(together, asked)) == [[item**2 for item in items] for items in asked]
    assert sorted(itertools.chain(*work.seen)) == sorted(itertools.chain(*asked))


def test_who_waits_shares_the_next_batch(work):
    together = Together(work)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(together, [1])
        assert work.first.wait(10)
        others = [pool.submit(together, [i, i]) for i in range(2, 10)]
        while len(together.waiting) < 8:
            pass
        work.go.set()
        assert first.result() == [1]
        assert [other.result() for other in others] == [[i**2] * 2 for i in range(2, 10)]
    assert [len(batch) for batch in work.seen] == [1, 16]


def test_an_error_reaches_all_of_its_batch_and_no_other(work):
    together = Together(work)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(together, [1])
        assert work.first.wait(10)
        others = [pool.submit(together, [item]) for item in (-2, 3)]
        while len(together.waiting) < 2:
            pass
        work.go.set()
        assert first.result() == [1]
        for other in others:
            with pytest.raises(ValueError, match="negative"):
                other.result()
    assert together([4]) == [16]
