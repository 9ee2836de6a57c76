"""Credit: what one exemplar is worth, recovered from the scores of sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.sampling import stream
from lbt_dspy.teleprompters.exemplars.searches.credit import Credit, Observation

EXEMPLARS, SIZE, PROBLEMS = 40, 6, 50


def observed(seed, exams, spread=0.03, noise=0.06):
    """Exams of 4 random sets each, with known values; a third of the noise is common to the sets of one exam."""
    rng = stream(seed, "credit")
    true = rng.normal(0, spread, EXEMPLARS)
    made = []
    for _ in range(exams):
        ease = rng.normal(0, noise * np.sqrt(1 / 3))
        sets = [tuple(map(int, rng.permutation(EXEMPLARS)[:SIZE])) for _ in range(4)]
        made.append(
            [
                Observation(
                    members=members, variance=noise**2, measured=PROBLEMS,
                    score=0.5 + true[list(members)].sum() + ease + rng.normal(0, noise * np.sqrt(2 / 3)),
                )
                for members in sets
            ]
        )  # fmt: skip
    return true - true.mean(), made


def credited(exams):
    credit = Credit()
    for exam in exams:
        credit.add(exam, random=True)
    return credit


def test_values_are_recovered_and_their_intervals_are_honest():
    covered, correlations = [], []
    for seed in range(10):
        true, exams = observed(seed, 60)
        values = credited(exams).values(EXEMPLARS)
        estimate = values.mean - values.mean.mean()
        correlations.append(np.corrcoef(true, estimate)[0, 1])
        covered += list(np.abs(true - estimate) < 1.96 * values.deviation)
    assert np.mean(correlations) > 0.9
    assert 0.9 < np.mean(covered) <= 1.0


def test_without_signal_nothing_is_credited():
    _, exams = observed(0, 60, spread=0.0)
    values = credited(exams).values(EXEMPLARS)
    assert np.abs(values.mean).max() < 0.03
    assert np.mean(np.abs(values.mean) < 1.96 * values.deviation) > 0.9


def test_the_expected_score_of_a_set_is_its_score():
    _, exams = observed(1, 200, noise=0.01)
    values = credited(exams).values(EXEMPLARS)
    for exam in exams[:5]:
        for seen in exam:
            assert values.expected(seen.members) == pytest.approx(seen.score, abs=0.04)


def test_an_exemplar_that_was_never_examined_is_worth_nothing_known():
    _, exams = observed(2, 30)
    values = credited(exams).values(EXEMPLARS + 1)
    assert values.mean[-1] == pytest.approx(0, abs=1e-9)
    assert values.deviation[-1] == max(values.deviation)


@given(st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_order_of_exams_does_not_matter(seed, shuffler):
    _, exams = observed(seed, 8)
    shuffled = list(exams)
    shuffler.shuffle(shuffled)
    one, other = credited(exams).values(EXEMPLARS), credited(shuffled).values(EXEMPLARS)
    assert np.allclose(one.mean, other.mean, atol=1e-9)
    assert np.allclose(one.deviation, other.deviation)


def test_samples_scatter_around_the_mean_as_the_posterior_says():
    _, exams = observed(3, 30)
    values = credited(exams).values(EXEMPLARS)
    draws = np.array([values.sample(stream(i, "draw"), 1.0) for i in range(2000)])
    assert np.allclose(draws.mean(axis=0), values.mean, atol=0.004)
    assert np.allclose(draws.std(axis=0), values.deviation, rtol=0.1)
    assert np.allclose(values.sample(stream(0, "draw"), 0.0), values.mean)


def test_before_the_first_score_all_is_unknown():
    values = Credit().values(3)
    assert np.all(values.mean == 0)
    assert np.all(values.deviation > 0)
    empty = Credit()
    empty.add([], random=True)
    assert empty.scored == 0
