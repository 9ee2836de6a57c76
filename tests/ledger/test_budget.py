import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbt_dspy import Budget, BudgetSpentError, UserError


@pytest.mark.parametrize("wrong", [{"max_calls": -1}, {"max_cost": -0.1}, {"max_cost": float("nan")}])
def test_bounds(wrong):
    with pytest.raises(UserError, match="must be"):
        Budget(**wrong)


def test_zero_is_a_limit():
    with pytest.raises(BudgetSpentError):
        Budget(max_calls=0).reserve(0.0)


@settings(deadline=None, max_examples=30)
@given(
    costs=st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=60),
    max_calls=st.integers(0, 40),
    max_cost=st.floats(0, 10),
    workers=st.integers(1, 8),
)
def test_no_interleaving_overshoots(costs, max_calls, max_cost, workers):
    """Whatever calls cost (at most their worst case), neither limit is ever exceeded."""
    budget = Budget(max_calls, max_cost)
    todo = [(worst, worst * share) for worst, share in costs]
    lock, sent, spent = threading.Lock(), [], []

    def work():
        while True:
            with lock:
                if not todo:
                    return
                worst, actual = todo.pop()
            try:
                budget.reserve(worst)
            except BudgetSpentError:
                return
            sent.append(1)
            spent.append(actual)
            budget.settle(worst, actual)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert len(sent) <= max_calls
    assert sum(spent) <= max_cost + 1e-9
    assert budget.calls == len(sent)


def test_a_call_that_was_not_sent_gives_its_place_back():
    budget = Budget(max_calls=1)
    budget.reserve(None)
    budget.settle(None, 0.0, sent=False)
    budget.reserve(None)
    budget.settle(None, 0.0)
    with pytest.raises(BudgetSpentError, match="1 calls"):
        budget.reserve(None)


def test_what_was_spent_before_counts():
    budget = Budget(max_calls=5)
    budget.start_from(5, 0.0)
    with pytest.raises(BudgetSpentError):
        budget.reserve(None)


def test_an_unknown_price_is_refused_under_a_cost_limit():
    with pytest.raises(BudgetSpentError, match="price"):
        Budget(max_cost=1.0).reserve(None)
