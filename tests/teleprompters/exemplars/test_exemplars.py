"""M3: the contract that every teleprompter of the package keeps, and what is its own."""

import json
import subprocess
import sys
from collections import Counter

import dspy
import pytest
from conftest import slow, stats
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import Budget, BudgetSpentError, Journal, LbTExemplars, Ledger, UserError, classification
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.lms.embedded import STUDENTS, embedded_lm
from lbt_dspy.lms.fleet import sections
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.metrics import BinaryF1, MacroF1
from lbt_dspy.sampling import stream
from lbt_dspy.signatures import MISTAKES
from lbt_dspy.teleprompters.exemplars import moves, writing
from lbt_dspy.teleprompters.exemplars.limits import limits_of
from lbt_dspy.teleprompters.exemplars.records import Case, ExemplarSet, churn, content_of, led_by
from lbt_dspy.teleprompters.exemplars.scores import repetitions

METRIC = BinaryF1("Yes", ("Yes", "No"))
SEARCHES = ["utility", "beam", "tpe"]


@pytest.fixture(scope="module")
def data():
    return load_data("fallacy", None, ())


@pytest.fixture
def teacher_program(data):
    program = data.task.program()
    program.lm = embedded_lm("embedded/teacher")
    return program


def optimizer(**options):
    given = {
        "metric": METRIC, "exam_students": [embedded_lm(name) for name in STUDENTS], "rounds": 2, "beam": 2,
        "exemplars": 6, "minibatch": 24, "selection_examples": 80, "reflections": 2,
    }  # fmt: skip
    return LbTExemplars(**{**given, **options})


def demos(program):
    return [(e.text, e.label) for e in program.demos]


@pytest.mark.parametrize("search", ["utility", *slow("beam", "tpe")])
def test_same_seed_same_program_and_the_given_one_is_untouched(search, data, teacher_program):
    before = teacher_program.dump_state()
    first = optimizer(seed=3, search=search).compile(teacher_program, trainset=data.train)
    reused = optimizer(seed=3, search=search)
    assert demos(reused.compile(teacher_program, trainset=data.train)) == demos(first)
    assert demos(reused.compile(teacher_program, trainset=data.train)) == demos(first)
    assert demos(optimizer(seed=0, search=search).compile(teacher_program, trainset=data.train)) != demos(first)
    assert teacher_program.dump_state() == before
    assert teacher_program.demos == []
    assert first.lm.engine is teacher_program.lm.engine


@pytest.mark.parametrize("search", SEARCHES)
def test_the_number_of_workers_changes_nothing(search, data, teacher_program):
    found = optimizer(search=search, ledger=Ledger(workers=1)).optimize(teacher_program, trainset=data.train)
    other = optimizer(search=search, ledger=Ledger(workers=16)).optimize(teacher_program, trainset=data.train)
    assert [r.as_dict() for r in found.rounds] == [r.as_dict() for r in other.rounds]
    assert found.calls == other.calls


@pytest.mark.parametrize(("search", "evaluations"), [("utility", 700), ("beam", 700), ("tpe", 700), ("utility", 240)])
def test_evaluations_are_a_limit(search, evaluations, data, teacher_program):
    found = optimizer(search=search, evaluations=evaluations, selection_examples=80).optimize(
        teacher_program, trainset=data.train
    )
    writing = 2 * 16 * 2
    assert 50 <= found.calls["teacher", "embedded/teacher"] <= evaluations + writing


@pytest.mark.parametrize("search", SEARCHES)
def test_too_few_evaluations_are_refused_before_any_call(search, data, teacher_program):
    ledger = Ledger()
    opt = optimizer(search=search, evaluations=239, ledger=ledger)
    with pytest.raises(UserError, match="evaluations must be at least 240, 3 times the 80 selection examples"):
        opt.compile(teacher_program, trainset=data.train)
    assert ledger.journal.sent() == 0


def test_utility_never_returns_a_set_that_scores_less_than_its_start(data, teacher_program):
    """The initial set is always among the finalists, all of which are scored on all selection examples."""
    for seed in range(4):
        opt = optimizer(search="utility", evaluations=400, seed=seed)
        found = opt.optimize(teacher_program, trainset=data.train)
        first = found.rounds[0].beam[0].exemplar_set
        finalists = {s.exemplar_set.content: s for s in found.rounds[-1].beam}
        assert first.content in finalists
        assert all(s.examples == 80 for s in finalists.values())
        assert found.best.score >= finalists[first.content].score


@pytest.mark.parametrize("search", SEARCHES)
def test_no_search_takes_more_than_its_limits(search, data, teacher_program):
    opt = optimizer(search=search, rounds=3)
    found = opt.optimize(teacher_program, trainset=data.train)
    most = limits_of(opt, 80)
    assert found.calls["teacher", "embedded/teacher"] <= most.evaluations + most.written
    assert all(found.calls["students", name] <= most.examined * 24 for name in STUDENTS)


@pytest.mark.parametrize("evaluator", ["halving", "rejects", "ucb"])
def test_beam_with_an_evaluator_takes_half_of_the_evaluations(evaluator, data, teacher_program):
    full = optimizer(search="beam").optimize(teacher_program, trainset=data.train)
    less = optimizer(search="beam", evaluator=evaluator).optimize(teacher_program, trainset=data.train)
    assert less.calls["teacher", "embedded/teacher"] < 0.7 * full.calls["teacher", "embedded/teacher"]
    assert all(s.examples <= 80 for r in less.rounds for s in r.scored)


def test_utility_says_what_each_exemplar_is_worth(data, teacher_program):
    found = optimizer(search="utility", pool=30).optimize(teacher_program, trainset=data.train)
    values = [v.value for v in found.values]
    assert values == sorted(values, reverse=True)
    assert len(values) >= 25
    for v in found.values:
        assert v.low < v.value < v.high
        assert v.exams > 0
    best = {content_of(e) for e in found.best.exemplar_set.exemplars}
    assert best <= {content_of(v.exemplar) for v in found.values}
    assert sum(churn(found.rounds)) > 0
    assert set(led_by(found.rounds)) == set(STUDENTS)


@pytest.mark.parametrize("search", ["utility", "beam"])
def test_kinds_of_mistake_are_counted_where_they_are_asked_for(search, data, teacher_program):
    found = optimizer(search=search, typed_feedback=True, reflection_mix=2).optimize(
        teacher_program, trainset=data.train
    )
    kinds = [kind for r in found.rounds for kind in r.as_dict()["kinds"]]
    assert kinds
    assert set(kinds) <= set(MISTAKES)
    assert any("\n2. " in reflection for r in found.rounds for reflection in r.as_dict()["reflections"])


@pytest.mark.parametrize("search", SEARCHES)
def test_sets_cover_all_labels(search, teacher_program):
    examples = [
        dspy.Example(text=f"{word} number {i}", label=label).with_inputs("text")
        for label, word, count in (("a", "apple", 40), ("b", "pear", 30), ("c", "plum", 2))
        for i in range(count)
    ]
    program = dspy.Predict(classification("Which fruit?", ("a", "b", "c")))
    program.lm = teacher_program.lm
    opt = optimizer(metric=MacroF1(("a", "b", "c")), search=search, exemplars=4)
    found = opt.optimize(program, trainset=examples)
    for r in found.rounds:
        for scored in (*r.beam, *r.scored):
            assert {e.label for e in scored.exemplar_set.exemplars} == {"a", "b", "c"}


def test_the_search_learns_and_says_what_it_did(data, teacher_program):
    seen = []
    found = optimizer(search="beam", rounds=3).optimize(teacher_program, trainset=data.train, watch=seen.append)
    assert seen == list(found.rounds)
    assert [r.number for r in found.rounds] == [0, 1, 2, 3]
    scores = [r.beam[0].score for r in found.rounds]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]
    assert Counter(e.label for e in found.rounds[0].beam[0].exemplar_set.exemplars) == {"Yes": 3, "No": 3}
    for r in found.rounds[1:]:
        assert set(r.errors) == set(STUDENTS)
        assert len(r.beam) <= 2
        for proposal in r.proposals:
            assert len(proposal.cases) <= 4
            assert len(proposal.reflection.split()) > 5
            for case in proposal.cases:
                assert all(answer != case.example.label for answer in case.wrong_answers.values())
    teacher, students = found.calls["teacher", "embedded/teacher"], found.calls["students", "embedded/words"]
    assert teacher > found.sets_scored * 70
    assert 0 < students <= 5 * 24


def test_no_set_is_scored_on_its_own_exemplars(data, teacher_program):
    opt = optimizer(selection_examples=400)
    own = ExemplarSet(exemplars=data.train[:6], origin="t")
    scored = opt.score_sets(teacher_program, [own], trainset=data.train)[0]
    assert scored.measured == len(data.train) - 6


@pytest.mark.parametrize("search", SEARCHES)
def test_zero_rounds_return_the_initial_set(search, data, teacher_program):
    found = optimizer(search=search, rounds=0).optimize(teacher_program, trainset=data.train)
    assert found.sets_scored == 1
    assert found.best.exemplar_set.origin == "random set 0"


@pytest.mark.parametrize("search", SEARCHES)
def test_students_can_select(search, data, teacher_program):
    found = optimizer(search=search, selection="students", rounds=1).optimize(teacher_program, trainset=data.train)
    assert found.calls["students", "embedded/chars"] > 100
    assert found.calls["teacher", "embedded/teacher"] <= 2 * 2 * 16


def test_a_validation_set_is_used_and_never_copied(data, teacher_program):
    valset = data.train[:60]
    found = optimizer(search="beam").optimize(teacher_program, trainset=data.train, valset=valset)
    forbidden = {e.text for e in valset}
    revised = [p.revised for r in found.rounds for p in r.proposals if p.revised is not None]
    parents = {e.text for e in found.rounds[0].beam[0].exemplar_set.exemplars}
    assert revised
    assert all(e.text not in forbidden or e.text in parents for s in revised for e in s.exemplars)
    assert sum(p.dropped for r in found.rounds for p in r.proposals) > 0


def test_plain_dspy_loads_the_program_in_a_fresh_process(data, teacher_program, tmp_path):
    compiled = optimizer(rounds=1).compile(teacher_program, trainset=data.train)
    compiled.lm = None
    compiled.save(str(tmp_path / "p.json"))
    code = (
        "import sys, json, dspy\n"
        "program = dspy.Predict('text -> label')\n"
        "program.load(sys.argv[1])\n"
        "class Engine:\n"
        "    def complete(self, request):\n"
        "        from dspy.lm15 import Message, Response, TextPart, Usage\n"
        "        text = '[[ ## label ## ]]\\nYes\\n\\n[[ ## completed ## ]]'\n"
        "        self.turns = len(request.messages)\n"
        "        return Response(id=None, model='m', message=Message.assistant([TextPart(text)]),\n"
        "                        finish_reason='stop', usage=Usage())\n"
        "engine = Engine()\n"
        "dspy.configure(lm=dspy.LM('x/m', engine=engine, cache=False))\n"
        "print(json.dumps([program(text='All cats I know are grey.').label, engine.turns, len(program.demos)]))\n"
        "assert not any(name.split('.')[0] == 'lbt_dspy' for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["Yes", 13, 6]


BAD_OPTIONS = [
    ({"rounds": -1}, "rounds must be a whole number of at least 0 but got -1"),
    ({"exemplars": 0}, "exemplars must be"),
    ({"beam": 0}, "beam must be"),
    ({"minibatch": 2.5}, "minibatch must be"),
    ({"seed": 0, "reflections": True}, "reflections must be"),
    ({"init": "generatd"}, "init must be one of"),
    ({"selection": "both"}, "selection must be one of teacher, students"),
    ({"search": "bream"}, "search must be one of utility, beam, tpe"),
    ({"search": "beam", "evaluator": "half"}, "evaluator must be one of full, halving, rejects, ucb"),
    ({"evaluator": "halving"}, "evaluator is for search beam but the search is utility"),
    ({"search": "beam", "draw": 10}, "draw is for search utility but the search is beam"),
    ({"storage": "sqlite:///x.db"}, "storage is for search tpe"),
    ({"evaluations": 0}, "evaluations must be"),
    ({"reflection_mix": 0}, "reflection_mix must be"),
    ({"search": "beam", "paraphrases": -1}, "paraphrases must be"),
    ({"exam_students": []}, "exam_students is empty"),
    ({"metric": None}, "metric must be callable"),
]


@pytest.mark.parametrize(("options", "says"), BAD_OPTIONS, ids=[says for _, says in BAD_OPTIONS])
def test_bad_options(options, says):
    with pytest.raises(UserError, match=says):
        optimizer(**options)


def test_bad_data(data, teacher_program):
    same = [e for e in data.train if e.label == "No"]
    unlabelled = [dspy.Example(text="x").with_inputs("text")]
    for trainset, valset, says in (
        ([], None, "trainset is empty"),
        (data.train, [], "valset is empty"),
        (data.train[:4], None, "at most the 4 training examples"),
        (same, None, "the one label 'No'"),
        (unlabelled, None, "no field 'label'"),
        ([dspy.Example(words="x", label="Yes").with_inputs("words")] * 9, None, "none of the predictor's input fields"),
    ):
        with pytest.raises(UserError, match=says):
            optimizer().compile(teacher_program, trainset=trainset, valset=valset)
    for option in ({"init": "generate"}, {"search": "beam", "paraphrases": 1}):
        with pytest.raises(UserError, match="embedded/teacher is a statistical model and writes no texts"):
            optimizer(**option).compile(teacher_program, trainset=data.train)
    with pytest.raises(UserError, match="has no LM"):
        optimizer().compile(data.task.program(), trainset=data.train)
    with pytest.raises(UserError, match="no predictor named 'other'"):
        optimizer(predictor="other").compile(teacher_program, trainset=data.train)


def test_the_budget_is_a_gate_here_too(data, teacher_program):
    ledger = Ledger(budget=Budget(max_calls=100))
    with pytest.raises(BudgetSpentError):
        optimizer(ledger=ledger).compile(teacher_program, trainset=data.train)
    assert ledger.journal.sent() == 100 == sum(ledger.journal.calls().values())  # what was answered is kept


@pytest.mark.parametrize("search", ["utility", "beam"])
def test_a_stopped_search_resumes_from_its_journal(search, server, data, tmp_path):
    """Half of the calls, then all: nothing is asked twice and the result is that of one run."""
    with server() as base_url:
        program = data.task.program()
        program.lm = LMRoles().lms([f"hosted_vllm/t@{base_url}"])[0]
        students = LMRoles().lms([f"hosted_vllm/s@{base_url}"])

        def run(path, limit=None):
            ledger = Ledger(Journal(path), Budget(max_calls=limit), workers=16)
            try:
                return optimizer(
                    search=search, exam_students=students, ledger=ledger, selection_examples=20, minibatch=10, rounds=1
                ).optimize(program, trainset=data.train)
            finally:
                ledger.close()

        whole = run(tmp_path / "whole")
        needed = stats(base_url)["requests"]
        with pytest.raises(BudgetSpentError):
            run(tmp_path / "parts", needed // 2)
        resumed = run(tmp_path / "parts")
        assert stats(base_url)["requests"] == 2 * needed
    assert [r.as_dict() for r in resumed.rounds] == [r.as_dict() for r in whole.rounds]
    assert resumed.calls == whole.calls


@pytest.fixture
def context(data, teacher_program):
    with optimizer()._task(teacher_program, data.train, data.train[:3]) as task:
        yield task.context


def listed(context, *fields):
    parent = ExemplarSet(exemplars=context_examples(context), origin="parent")
    return writing.accept_list(context, parent, list(fields), "new")


def context_examples(context):
    data = load_data("fallacy", None, ())
    return data.train[10:14]


WRITTEN = [
    ({"text": "A fresh argument.", "label": "Yes"}, True),
    ({"text": "A fresh argument.", "label": " yes "}, True),  # case and spaces of a label are forgiven
    ({"text": "A fresh argument.", "label": "Maybe"}, False),
    ({"text": "  ", "label": "Yes"}, False),
    ({"text": "A fresh argument."}, False),
    ({"label": "Yes"}, False),
    ({"text": None, "label": "Yes"}, False),
]


@pytest.mark.parametrize(("fields", "accepted"), WRITTEN)
def test_teacher_written_exemplars_are_checked(fields, accepted, context):
    revised, dropped = listed(context, fields)
    assert (revised is not None) is accepted
    assert dropped == (not accepted)
    if accepted:
        assert revised.exemplars[0].label == "Yes"
        assert len(revised.exemplars) == 4  # the rest comes from the parent set


def test_copies_of_validation_texts_and_repeats_are_dropped(context, data):
    copied = {"text": data.train[0].text.upper() + " ", "label": "Yes"}
    fresh = {"text": "A fresh argument.", "label": "No"}
    revised, dropped = listed(context, copied, fresh, fresh)
    assert dropped == 2
    assert revised.exemplars[0].text == "A fresh argument."


def test_too_long_a_list_is_cut(context):
    revised, _ = listed(context, *({"text": f"argument {i}", "label": "No"} for i in range(9)))
    assert len(revised.exemplars) == 4


def test_short_reflections_are_dropped():
    assert writing.usable_reflection({"reflection": "too short to mean anything"}) is None
    assert writing.usable_reflection({"reflection": "this one has just six words"}) is not None
    assert writing.usable_reflection(None) is None


@given(st.integers(0, 30), st.integers(1, 6), st.integers(1, 6), st.integers(0, 9))
def test_case_groups(count, groups, size, seed):
    cases = [Case(example=dspy.Example(n=i), wrong_answers={}) for i in range(count)]
    pooled = [case for case in cases for _ in range(1 + case.example.n % 3)]
    drawn = moves.group_cases(pooled, groups, size, stream(seed, "t"))
    assert len(drawn) == (groups if count else 0)
    for group in drawn:
        assert len(group) == min(size, count) == len({id(case) for case in group})


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 500), min_size=2), st.data())
def test_repetitions_restore_the_shares_of_the_data(counts, draw):
    pool = {label: count + draw.draw(st.integers(0, 3000)) for label, count in counts.items()}
    shares = {label: count / sum(pool.values()) for label, count in pool.items()}
    repeats = repetitions(counts, shares)
    assert set(repeats) == set(counts)
    weights = {label: counts[label] * repeats[label] / shares[label] for label in counts}
    assert max(weights.values()) / min(weights.values()) < 1.11


def test_unbalanced_draws_are_not_reweighted():
    assert repetitions({"a": 20, "b": 80}, {"a": 0.2, "b": 0.8}) == {"a": 1, "b": 1}


def test_options_larger_than_the_data_are_said_and_defaults_are_not(program, examples, caplog):
    sections._said.clear()
    program.set_lm(embedded_lm("embedded/teacher"))
    options = {"minibatch": 999, "pool": len(examples), "rounds": 1, "exemplars": 4, "draw": 5}
    optimizer = LbTExemplars(metric=METRIC, exam_students=[embedded_lm("embedded/words")], **options)
    optimizer.compile(program, trainset=examples)
    assert [r.message for r in caplog.records if "but there are" in r.message] == [
        f"minibatch is 999 but there are {len(examples)} training examples: all of them are taken"
    ]
