"""A set of keys beside Python's own, most of it in its file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.ledger import key_set
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.key_set import KeySet
from lbt_dspy.types import Reply

KEYS = st.integers(0, 40).map(lambda i: i.to_bytes(16, "big"))
BATCHES = st.lists(st.lists(KEYS, max_size=12), max_size=12)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(key_set, "IN_MEMORY", 5)
    monkeypatch.setattr(key_set, "CHUNK", 3)


def filled(batches):
    """The set, checked beside Python's at every step."""
    ours, theirs = KeySet(), set()
    for batch in batches:
        assert ours.add(batch) == set(batch) - theirs
        theirs |= set(batch)
    return ours, theirs


@given(BATCHES)
def test_each_key_is_new_once(batches):
    ours, theirs = filled(batches)
    assert ours.add(sorted(theirs)) == set()


@given(BATCHES, BATCHES, BATCHES)
def test_joined_sets_know_what_either_knew(first, second, more):
    (ours, known), (other, others) = filled(first), filled(second)
    ours.join(other)
    known |= others
    for batch in more:
        assert ours.add(batch) == set(batch) - known
        known |= set(batch)
    assert other.add(sorted(others)) == set()  # the other one is left as it was


@given(BATCHES)
def test_an_account_counts_each_call_once(batches):
    account = Account()
    for batch in batches:
        account.add("students", "m", [(key, Reply("x", None, 2, 0, 0, 0.25)) for key in batch])
    different = len({key for batch in batches for key in batch})
    assert account.calls["students", "m"] == 2 * different
    assert account.cost == 0.25 * different


def test_keys_are_no_more_than_a_few_in_memory():
    ours, _ = filled([[i.to_bytes(16, "big")] for i in range(1000)])
    assert len(ours._recent) <= 6
