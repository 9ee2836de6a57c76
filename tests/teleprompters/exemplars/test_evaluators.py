"""Evaluators: never beyond the evaluations, and on simulated scores nearly as good a choice as full evaluation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.sampling import stream
from lbt_dspy.teleprompters.exemplars.searches.evaluators import EVALUATORS

SETS, KEEP, EXAMPLES = 20, 4, 400
DRAWS = 200
TOLERANCE = 0.01


class Simulated:
    """Sets whose true accuracy is N(0.6, 0.05); an example has a difficulty that all sets share."""

    def __init__(self, seed, sets=SETS, examples=EXAMPLES):
        rng = stream(seed, "simulated sets")
        self.true = rng.normal(0.6, 0.05, sets)
        self.counts = [0] * sets
        hard = rng.normal(0, 0.3, examples)
        hard -= hard.mean()
        self.right = rng.random((sets, examples)) < np.clip(self.true[:, None] + hard, 0, 1)

    def score(self, wish):
        for i, n in wish.items():
            assert n >= self.counts[i] >= 0
            self.counts[i] = n
        return {i: self.right[i, :n].mean() for i, n in wish.items()}


@pytest.mark.parametrize("name", ["halving", "rejects", "ucb"])
def test_half_the_evaluations_choose_as_well_to_a_point(name):
    """200 seeded draws: mean true score of the best set and of the four kept, against full evaluation."""
    lost = []
    for seed in range(DRAWS):
        world = Simulated(seed)
        everything = EVALUATORS["full"](
            world.score, [0] * SETS, keep=KEEP, examples=EXAMPLES, evaluations=SETS * EXAMPLES
        )
        world = Simulated(seed)
        half = EVALUATORS[name](world.score, [0] * SETS, keep=KEEP, examples=EXAMPLES, evaluations=SETS * EXAMPLES // 2)
        lost.append(
            [world.true[everything[0]] - world.true[half[0]],
             (world.true[everything[:KEEP]] - world.true[half[:KEEP]]).mean()]
        )  # fmt: skip
    best, kept = np.mean(lost, axis=0)
    assert best <= TOLERANCE
    assert kept <= TOLERANCE


@given(
    st.sampled_from(sorted(EVALUATORS)), st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 5),
    st.integers(0, 400), st.integers(0, 3),
)  # fmt: skip
def test_no_evaluator_exceeds_its_evaluations(name, done, keep, evaluations, seed):
    world = Simulated(seed, len(done), 30)
    world.counts = list(done)
    order = EVALUATORS[name](world.score, done, keep=keep, examples=30, evaluations=evaluations)
    assert sum(world.counts) - sum(done) <= evaluations
    assert len(set(order)) == len(order)
    assert set(order) <= set(range(len(done)))
    if evaluations >= len(done) * 30:
        assert set(order) == set(range(len(done)))


def test_the_tolerance_can_be_missed():
    """A choice at random loses several points, so a point of tolerance means something."""
    lost = []
    for seed in range(DRAWS):
        world = Simulated(seed)
        best = int(world.right.mean(axis=1).argmax())
        lost.append(world.true[best] - world.true.mean())
    assert np.mean(lost) > 5 * TOLERANCE


def test_enough_evaluations_make_every_evaluator_full():
    world = Simulated(0)
    full = EVALUATORS["full"](world.score, [0] * SETS, keep=KEEP, examples=EXAMPLES, evaluations=SETS * EXAMPLES)
    assert full == sorted(range(SETS), key=lambda i: -world.right[i].mean())


def test_a_set_that_was_not_measured_comes_last():
    for evaluator in EVALUATORS.values():
        order = evaluator(lambda wish: {i: float("-inf") if i == 0 else 0.5 for i in wish}, [0, 0, 0], keep=1,
                          examples=10, evaluations=30)  # fmt: skip
        assert order[-1] == 0
