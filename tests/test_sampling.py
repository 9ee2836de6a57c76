from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.sampling import balanced, digest_int, request_seed, stream


def test_streams_depend_on_purpose_and_seed_alone():
    assert stream(0, "minibatch", 1).integers(1 << 30) == stream(0, "minibatch", 1).integers(1 << 30)
    draws = {int(stream(s, p, n).integers(1 << 60)) for s in (0, 1) for p in ("a", "b") for n in (0, 1)}
    assert len(draws) == 8


def test_digests_are_the_same_in_every_process():
    assert digest_int(0, "x") == 8466617209852676639
    assert 0 <= request_seed(7, "sitting", 0) < 2**31 - 1


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(0, 70), st.integers(0, 5))
def test_balanced_draws_are_as_even_as_the_items_allow(labels, size, seed):
    items = list(enumerate(labels))
    drawn = balanced(items, size, lambda item: item[1], np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn)) == min(size, len(items))
    have, got = Counter(labels), Counter(label for _, label in drawn)
    for label in got:
        for other in have:
            # a label is drawn more than one time more often than another one only when that one ran out
            assert got[label] - got[other] <= 1 or got[other] == have[other]
