"""LbTScore as every DSPy optimiser asks it, and what it says."""

import dspy
import pytest
from toy_world import BANK, PLUS, TAUGHT, TEACHING, pupil, solver, teacher

from lbt_dspy import Fixed
from lbt_dspy.metrics import LbTScore


def score(**options):
    return LbTScore(solver(), **{"exam_students": [pupil()], "exam": Fixed(BANK, problems=2), **options})


@pytest.fixture
def lm():
    chosen = teacher()
    with dspy.context(lm=chosen):
        yield chosen


def lesson(question, word, answer):
    return dspy.Prediction(reasoning=f"these {word} those", answer=answer)


@pytest.mark.usefixtures("lm")
def test_evaluate(tmp_path):
    """Odd first numbers are added, even ones multiplied: half of the lessons teach."""
    found = dspy.Evaluate(
        devset=TEACHING, metric=score(), num_threads=4, save_as_json=str(tmp_path / "scores.json")
    )(solver())
    assert found.score == 50.0
    assert [type(value) for *_, value in found.results] == [float] * len(TEACHING)


@pytest.mark.usefixtures("lm")
def test_bootstrap_few_shot_keeps_what_teaches():
    compiled = dspy.BootstrapFewShot(metric=score(threshold=0.5), max_bootstrapped_demos=4, max_labeled_demos=0).compile(
        solver(), trainset=TEACHING
    )
    demos = compiled.predict.demos
    assert demos
    assert all(PLUS in demo.reasoning for demo in demos)
    assert {demo.question for demo in demos} <= {example.question for example in TEACHING}  # none of the exam


@pytest.mark.usefixtures("lm")
def test_random_search():
    compiled = dspy.BootstrapFewShotWithRandomSearch(
        metric=score(), max_bootstrapped_demos=2, max_labeled_demos=0, num_candidate_programs=2, num_threads=2
    ).compile(solver(), trainset=TEACHING[:4])
    assert compiled(question="What is 8 and 9?").answer == "17"


def test_mipro(lm):
    optimizer = dspy.MIPROv2(metric=score(), auto=None, num_candidates=2, prompt_model=lm, task_model=lm, num_threads=2)
    compiled = optimizer.compile(
        solver(), trainset=TEACHING[:4], valset=TEACHING[4:], num_trials=3, minibatch=False,
        max_bootstrapped_demos=0, max_labeled_demos=0, program_aware_proposer=False, data_aware_proposer=False,
    )  # fmt: skip
    assert compiled(question="What is 8 and 9?").answer == "17"


def test_gepa_reads_the_feedback(lm):
    compiled = dspy.GEPA(
        metric=score(threshold=0.5), max_metric_calls=16, reflection_lm=lm, reflection_minibatch_size=2, num_threads=2
    ).compile(solver(), trainset=TEACHING[:4], valset=TEACHING[4:])
    assert compiled.predict.signature.instructions == TAUGHT
    reflections = [prompt for prompt in lm.engine.prompts if "Students answered instead" in prompt]
    assert reflections
    assert 'Failed: "What is 13 and 18?" The right answer is 31. Students answered instead: 234' in reflections[0]


@pytest.mark.usefixtures("lm")
def test_simba():
    compiled = dspy.SIMBA(metric=score(), bsize=4, num_candidates=2, max_steps=1, max_demos=1, num_threads=1).compile(
        solver(), trainset=TEACHING[:4], seed=0
    )
    assert compiled(question="What is 8 and 9?").answer == "17"


@pytest.mark.usefixtures("lm")
@pytest.mark.parametrize("module", [dspy.BestOfN, dspy.Refine])
def test_the_best_of_several(module):
    best = module(module=solver(), N=3, reward_fn=score().reward, threshold=1.0)
    with dspy.context(trace=[]):
        assert best(question="What is 8 and 9?").answer == "17"
        assert [given["question"] for _, given, _ in dspy.settings.trace] == ["What is 8 and 9?"]
