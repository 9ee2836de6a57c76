"""What replies say they used: known only where it can be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.lms.fleet.prices import price_from
from lbt_dspy.lms.replies.usage import cost_of, tokens_of


def priced(inputs, outputs, **more):
    return price_from({"input_cost_per_token": inputs, "output_cost_per_token": outputs, **more}, {})


PRICE = priced(0.5, 2.0)


def said(prompt=10, output=5, **more):
    return {"prompt_tokens": prompt, "completion_tokens": output, **more}


def cached(tokens):
    return {"prompt_tokens_details": {"cached_tokens": tokens}}


KNOWN = [
    (said(), (10, 5, 0)),
    (said(10.0, 5.0), (10, 5, 0)),
    (said(total_tokens=15), (10, 5, 0)),
    (said(total_tokens=115), (10, 105, 0)),  # thoughts that are only in the total
    (said(total_tokens=3), (10, 5, 0)),
    (said(total_tokens=None), (10, 5, 0)),
    (said(**cached(10)), (10, 5, 10)),
    (said(**cached(None)), (10, 5, 0)),
    (said(prompt_tokens_details=None), (10, 5, 0)),
    (said(prompt_tokens_details="x"), (10, 5, 0)),
]
UNKNOWN = [
    None, {}, [], "none", 7, said(0, 0), said(None, None), said(10, None), said(None, 5), said(0, 5), said(10, 0),
    said(-10, 5), said(10, -5), said("10", "5"), said("ten", 5), said(True, 5), said(10.5, 5), said(math.inf, 5),
    said(math.nan, 5), {"prompt_tokens": 10}, {"completion_tokens": 5}, {"total_tokens": 15}, said(**cached(11)),
    said(**cached(-1)), said(**cached("5")), said([], {}),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "tokens"), KNOWN, ids=str)
def test_what_is_known(usage, tokens):
    assert tokens_of(usage, wrote=True) == tokens


@pytest.mark.parametrize("usage", UNKNOWN, ids=str)
def test_what_is_not(usage):
    assert tokens_of(usage, wrote=True) is None
    assert cost_of(tokens_of(usage, wrote=True), PRICE) is None


def test_nothing_written_has_no_tokens():
    assert tokens_of(said(10, 0), wrote=False) == (10, 0, 0)
    assert tokens_of(said(10, None), wrote=False) is None


def test_costs():
    assert cost_of((10, 5, 0), PRICE) == 15.0
    assert cost_of((10, 5, 0), None) is None
    assert cost_of((10, 5, 4), priced(0.5, 2.0, cache_read_input_token_cost=0.25)) == 14.0
    assert cost_of(None, priced(0.0, 0.0)) == 0.0  # a server of one's own


NAMES = ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens"]
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(ANYTHING, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner)))
def test_no_usage_costs_less_than_nothing(usage):
    tokens = tokens_of(usage, wrote=True)
    assert tokens is None or (tokens[0] > 0 and tokens[1] > 0)
    cost = cost_of(tokens, PRICE)
    assert cost is None or cost > 0
