"""Prices: of all that could apply, the dearest is reserved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.lms.config import Deployment
from lbt_dspy.lms.deployed import price_of
from lbt_dspy.lms.fleet.prices import price_from

BASE = {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
ROWS = [
    # (prices beside BASE, settings, prompt, output, most)
    ({}, {}, 1000, 10, 1e-3 + 4e-5),
    ({"output_cost_per_reasoning_token": 8e-6}, {}, 1000, 10, 1e-3 + 8e-5),
    ({"cache_read_input_token_cost": 1e-7}, {}, 1000, 10, 1e-3 + 4e-5),
    ({"cache_creation_input_token_cost": 2e-6}, {}, 1000, 10, 2e-3 + 4e-5),
    ({"cache_creation_input_token_cost_above_1hr": 3e-6}, {}, 1000, 10, 3e-3 + 4e-5),
    ({"input_cost_per_token_above_200k_tokens": 2e-6}, {}, 200_000, 10, 0.2 + 4e-5),
    ({"input_cost_per_token_above_200k_tokens": 2e-6}, {}, 200_001, 10, 0.400002 + 4e-5),
    ({"output_cost_per_token_above_200k_tokens": 9e-6}, {}, 300_000, 10, 0.3 + 9e-5),
    ({"input_cost_per_token_priority": 5e-6}, {}, 1000, 10, 1e-3 + 4e-5),
    ({"input_cost_per_token_priority": 5e-6}, {"service_tier": "priority"}, 1000, 10, 5e-3 + 4e-5),
    ({"input_cost_per_token_flex": 5e-7}, {"service_tier": "flex"}, 1000, 10, 1e-3 + 4e-5),
    ({"input_cost_per_token_batches": 9e-6, "input_cost_per_audio_token": 9e-5}, {}, 1000, 10, 1e-3 + 4e-5),
    ({"input_cost_per_request": 0.5}, {}, 1000, 10, 0.5 + 1e-3 + 4e-5),
    ({"regional_processing_uplift_multiplier_eu": 1.1}, {}, 1000, 10, 1e-3 + 4e-5),
    ({"regional_processing_uplift_multiplier_eu": 1.1}, {"api_base": "x"}, 1000, 10, 1.1 * (1e-3 + 4e-5)),
    ({"tiered_pricing": [{"range": [0, 9], "input_cost_per_token": 3e-6, "output_cost_per_token": 0}]},
     {}, 1000, 10, 3e-3),
]  # fmt: skip


@pytest.mark.parametrize(("more", "settings", "prompt", "output", "most"), ROWS, ids=str)
def test_the_dearest_price_that_can_apply_is_reserved(more, settings, prompt, output, most):
    assert price_from({**BASE, **more}, settings).most(prompt, output) == pytest.approx(most)


@pytest.mark.parametrize(
    "source",
    [{}, {"input_cost_per_token": 1}, {**BASE, "input_cost_per_second": 0.1}, {**BASE, "output_cost_per_second": 1}],
)
def test_what_has_no_price_by_the_token_is_unknown(source):
    assert price_from(source, {}) is None


def test_what_the_provider_had_in_its_cache_is_cheaper():
    price = price_from({**BASE, "cache_read_input_token_cost": 1e-7}, {})
    assert price.of(1000, 10, 800) == pytest.approx(200e-6 + 800e-7 + 40e-6)
    assert price.of(1000, 10, 5000) == pytest.approx(1000e-7 + 40e-6)  # no more than the prompt
    assert price_from(BASE, {}).of(1000, 10, 800) == pytest.approx(1000e-6 + 40e-6)


NAMES = ["cache_read_input_token_cost", "cache_creation_input_token_cost", "output_cost_per_reasoning_token",
         "input_cost_per_token_above_1k_tokens", "output_cost_per_token_above_2k_tokens",
          "input_cost_per_request"]  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1)), st.integers(0, 5000), st.integers(0, 5000),
    st.integers(0, 5000), st.integers(0, 9000),
)  # fmt: skip
def test_nothing_costs_more_than_the_most(more, prompt, output, cached, beyond):
    price = price_from({**BASE, **more}, {})
    assert price.of(prompt, output, cached) <= price.most(prompt + beyond, output) + 1e-9


def test_a_price_in_the_yaml_stands_before_the_list():
    listed = Deployment(name="a", params={"model": "openai/gpt-4o-mini"})
    own = Deployment(
        name="a", params={"model": "openai/gpt-4o-mini"}, info={"input_cost_per_token": 1, "output_cost_per_token": 2}
    )
    part = Deployment(name="a", params={"model": "openai/gpt-4o-mini"}, info={"output_cost_per_token": 2})
    assert price_of(own).most(1, 1) == 3
    assert price_of(part).most(0, 1) == 2
    assert 0 < price_of(part).most(1, 0) == price_of(listed).most(1, 0) < 1e-3
