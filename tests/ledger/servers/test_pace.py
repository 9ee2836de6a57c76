"""A server that refuses all is left alone by all calls; the clock is the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.ledger.servers.pace import Pace


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def paced():
    clock = Clock()
    return clock, Pace(first=1.0, longest=20.0, clock=clock)


def refuse(clock, pace, rounds, address="a", asked=None):
    waits = []
    for _ in range(rounds):
        clock.now += 0.1 + pace.wait(address)
        pace.refused(address, clock.now, asked)
        waits.append(round(pace.wait(address), 6))
    return waits


def test_single_refusals_are_their_calls_own_affair_and_then_all_wait_ever_longer():
    assert refuse(*paced(), rounds=9) == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_many_requests_that_were_in_flight_together_are_one_round():
    clock, pace = paced()
    clock.now = 5.0
    for _ in range(64):
        pace.refused("a", 4.0)
    assert pace.wait("a") == 0.0


def test_the_server_may_ask_for_more_up_to_the_longest_wait():
    assert refuse(*paced(), rounds=4, asked=7.0) == [0.0, 0.0, 7.0, 7.0]
    assert refuse(*paced(), rounds=3, asked=3600.0)[-1] == 20.0


def test_an_answer_ends_it_and_other_addresses_are_not_meant():
    clock, pace = paced()
    refuse(clock, pace, 5)
    assert pace.wait("b") == 0.0
    pace.answered("a")
    assert pace.wait("a") == 0.0
    assert refuse(clock, pace, 2) == [0.0, 0.0]


@given(st.lists(st.tuples(st.sampled_from(["refused", "answered"]), st.floats(0, 30), st.none() | st.floats(0, 1e6))))
def test_no_wait_is_longer_than_the_longest(events):
    clock, pace = paced()
    for what, later, asked in events:
        clock.now += later
        if what == "refused":
            pace.refused("a", clock.now, asked)
        else:
            pace.answered("a")
        assert 0.0 <= pace.wait("a") <= 20.0 + 1e-9
