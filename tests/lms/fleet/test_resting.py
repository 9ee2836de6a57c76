"""A dead server stops being asked, and is tried again later; the clock is the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.lms.fleet.resting import FAILURES_TO_DOUBT, LONGEST_REST, Rest


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def rest_after(failures):
    clock = Clock()
    rest = Rest(clock)
    for _ in range(failures):
        rest.failed()
    while not rest.awake():
        clock.now += 0.5
    return clock.now


def test_the_first_rests_are_short_and_then_each_is_twice_the_last():
    assert [rest_after(n) for n in range(8)] == [0.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert rest_after(1000) == LONGEST_REST


def test_one_request_at_a_time_tries_a_server_that_was_dead():
    clock = Clock()
    rest = Rest(clock)
    for _ in range(FAILURES_TO_DOUBT):
        rest.failed()
    clock.now = 100.0
    assert rest.awake(in_flight=0)
    assert not rest.awake(in_flight=1)
    rest.answered()
    assert rest.awake(in_flight=50)


@given(st.lists(st.booleans() | st.floats(0, 100)))
def test_it_is_never_left_alone_for_longer_than_the_longest_rest(events):
    clock = Clock()
    rest = Rest(clock)
    for event in events:
        if event is True:
            rest.failed()
        elif event is False:
            rest.answered()
            assert rest.awake()
        else:
            clock.now += event
    clock.now += LONGEST_REST
    assert rest.awake()
