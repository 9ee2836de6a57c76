"""DSPy's own optimisers within a budget of calls, on the embedded teacher and on a model that reads instructions."""

import json
import logging
import random

import dspy
import optuna
import pytest
from conftest import slow, stats

from lbt_dspy import UserError
from lbt_dspy.benchmarks.studies.race import rivals
from lbt_dspy.benchmarks.studies.race.rivals import RIVALS, demo_sets_within, run_rival, trials_within, why_not
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of

SEARCHES = ("bootstrap-rs", "mipro")
CALLS = {"bootstrap-rs": 300, "mipro": 800}


def demos_of(checkpoint):
    return [dict(demo.items()) for demo in checkpoint.program.demos]


@pytest.fixture
def race(program, examples):
    """Run a rival; 60 noisy examples, of which each optimiser makes something else with another seed."""
    rng = random.Random(3)
    mixed = [e.copy(label=rng.choice(["Yes", "No"])) if rng.random() < 0.3 else e for e in examples]
    rng.shuffle(mixed)

    def run(name, *, calls=None, seed=0, valset=mixed, lm=None, trainset=mixed):
        return run_rival(
            name,
            program,
            lm or embedded_lm("embedded/teacher"),
            trainset=trainset,
            valset=valset,
            exemplars=4,
            calls=calls or CALLS.get(name, 1),
            seed=seed,
        )

    return run


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_stays_within_its_calls_and_never_loses_its_best(name, race, monkeypatch):
    searched = []
    run = rivals.within_calls
    monkeypatch.setattr(rivals, "within_calls", lambda *a, **k: searched.append(run(*a, **k)) or searched[-1])
    found = race(name)
    calls, scores = [c.calls for c in found], [c.score for c in found]
    assert len(found) >= 3
    assert calls == sorted(set(calls))
    assert scores == sorted(scores)
    assert calls[-1] <= searched[0].calls <= CALLS[name]
    assert calls[-1] > CALLS[name] * 0.8
    assert all(len(c.program.demos) <= 4 and c.program.lm is None for c in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["few-shot", *SEARCHES])
def test_one_seed_one_result_and_another_seed_another(name, race):
    first, again, other = (race(name, seed=seed) for seed in (0, 0, 1))
    assert [(c.calls, c.score, demos_of(c)) for c in first] == [(c.calls, c.score, demos_of(c)) for c in again]
    assert demos_of(first[-1]) != demos_of(other[-1])


def test_few_shot_makes_no_call(race):
    (only,) = race("few-shot")
    assert (only.calls, only.score, len(only.program.demos)) == (0, None, 4)


@pytest.mark.parametrize("name", ["few-shot", *slow(*SEARCHES)])
def test_the_given_program_and_its_lm_are_untouched(name, race, program):
    program.lm = embedded_lm("embedded/words")
    before, lm = program.dump_state(), program.lm
    found = race(name)
    assert program.dump_state() == before
    assert program.lm is lm
    assert not lm.history
    assert {c.program.signature.instructions for c in found} == {program.signature.instructions}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_score_is_what_evaluating_the_program_again_gives(name, race, program, examples):
    best = race(name, calls=200, valset=examples)[-1]
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        right = [best.program(**e.inputs()).label == e.label for e in examples]
    assert best.score == pytest.approx(100 * sum(right) / len(right), abs=0.01)


def test_too_few_calls_for_one_evaluation_give_nothing(race):
    assert race("bootstrap-rs", calls=59) == []
    assert race("mipro", calls=59) == []


def test_a_small_validation_set_is_evaluated_whole(race, examples):
    found = race("mipro", calls=400, valset=examples[::3])
    assert len(found) > 10
    assert 380 < found[-1].calls <= 400


@pytest.mark.slow
def test_nothing_is_printed_or_logged_and_all_is_restored(race, capfd, caplog):
    levels = optuna.logging.get_verbosity(), logging.root.manager.disable
    for name in SEARCHES:
        race(name)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert (optuna.logging.get_verbosity(), logging.root.manager.disable) == levels


@pytest.mark.parametrize(("calls", "examples"), [(4000, 200), (800, 60), (375, 200), (100, 60), (500, 20), (10, 20)])
def test_the_trials_of_mipro_fit(calls, examples):
    def cost(trials):
        whole = examples <= 50
        return examples + trials * (examples if whole else 35) + (0 if whole else -(-trials // 5) * examples)

    trials = trials_within(calls, examples)
    assert cost(trials) <= calls or trials == 0
    assert cost(trials + 1) > calls
    assert demo_sets_within(calls, examples) >= 4


def test_gepa_says_why_it_does_not_apply_to_embedded_models(race):
    assert [name for name in RIVALS if why_not(name, embedded_lm("embedded/teacher"))] == ["gepa"]
    with pytest.raises(UserError, match="neither reads nor writes"):
        race("gepa")


class Obedient(ModelEngine):
    """Knows the labels but tells them only when its instruction says so; as a reflector it writes that instruction."""

    in_process = True

    def __init__(self, labels):
        super().__init__("obedient", "obedient")
        self.labels = labels
        self.feedback = []

    def answer(self, request, faults=()):
        text = request.messages[-1].text
        if "[[ ## text ## ]]" not in text:
            self.feedback += [line for line in text.splitlines() if "the right label is" in line]
            return Answer(json.dumps({"new_instruction": "Judge with care."}))
        told = self.labels[text.split("## text ## ]]\n")[1].split("\n\n")[0]]
        return Answer(f"[[ ## label ## ]]\n{told if 'care' in request.system else 'Yes'}\n\n[[ ## completed ## ]]")


def test_gepa_rewrites_instructions_of_a_model_that_reads_them(race, program, examples):
    engine = Obedient({e.text: e.label for e in examples})
    found = race("gepa", calls=200, valset=examples, trainset=examples, lm=lm_of(engine))
    assert [c.score for c in found] == [50.0, 100.0]
    assert "care" in found[-1].program.signature.instructions
    assert found[-1].calls <= 200
    assert engine.feedback
    assert any("Wrong, the answer was 'Yes': the right label is 'No'" in line for line in engine.feedback)


def test_an_error_of_use_says_what_would_work(race):
    for name, given in (("copro", {}), ("few-shot", {"calls": -1})):
        with pytest.raises(UserError, match="must be"):
            race(name, **given)


@pytest.mark.slow
def test_a_server_that_fails_is_asked_no_more_than_the_budget(server, race):
    """In threads; an empty answer is asked for again as JSON, which is a call too."""
    with server("--empty", "0.1") as url:
        lm = dspy.LM("hosted_vllm/test-model", api_base=url, api_key="none", model_type="chat")
        found = race("bootstrap-rs", calls=300, lm=lm)
        asked = stats(url)["requests"]
    assert found
    assert found[-1].calls <= asked <= 300
    assert found[-1].calls > 60 * len(found)


@pytest.mark.slow
def test_mipro_goes_on_when_all_it_sampled_has_been_evaluated(race, monkeypatch):
    """With four sets and more full evaluations than that; MIPROv2 itself raises a ValueError here."""
    monkeypatch.setattr(rivals, "demo_sets_within", lambda calls, examples: 4)
    found = race("mipro", calls=1500)
    assert 2 <= len(found) <= 5
    assert found[-1].calls <= 1500
