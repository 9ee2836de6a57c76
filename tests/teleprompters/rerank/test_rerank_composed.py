"""LbTRerank as a module among others: compiled, copied, run in threads, saved and loaded like any other."""

import asyncio
import json
import subprocess
import sys

import dspy
import pytest
from conftest import ROOT
from toy_world import NOTES, TAUGHT, Desk, pupil, solver, teacher

from lbt_dspy import Fixed, LbTRerank, Nearest, UserError
from lbt_dspy.lms.embedded import STUDENTS, embedded_lm
from lbt_dspy.lms.roles import LMRoles

DOUBLES = ROOT / "tests" / "doubles"
NOTE = "8 things, 9 more"
SECRET = "sk-verysecret"


def right(gold, pred, trace=None, pred_name=None, pred_trace=None):
    score = float(gold.answer == pred.answer)
    return score if pred_name is None else dspy.Prediction(score=score, feedback="Read both numbers.")


@pytest.fixture
def lm():
    chosen = teacher()
    with dspy.context(lm=chosen):
        yield chosen


def mipro(lm):
    optimizer = dspy.MIPROv2(metric=right, auto=None, num_candidates=3, prompt_model=lm, task_model=lm, num_threads=2)
    return optimizer.compile(
        Desk(), trainset=NOTES[:4], valset=NOTES[4:], num_trials=4, minibatch=False, max_bootstrapped_demos=1,
        max_labeled_demos=0, program_aware_proposer=False, data_aware_proposer=False,
    )  # fmt: skip


def gepa(lm):
    optimizer = dspy.GEPA(
        metric=right, max_metric_calls=24, reflection_lm=lm, reflection_minibatch_size=2, num_threads=2
    )
    return optimizer.compile(Desk(), trainset=NOTES[:4], valset=NOTES[4:])


@pytest.mark.parametrize("optimize", [pytest.param(mipro, marks=pytest.mark.slow), gepa])
def test_compiled_saved_and_loaded_in_a_fresh_process(optimize, lm, tmp_path):
    compiled = optimize(lm)
    assert {name for name, _ in compiled.named_predictors()} == {"read", "solve.program.predict"}
    assert compiled.read.signature.instructions == TAUGHT
    answer = compiled(note=NOTE)
    assert (answer.answer, answer.lbt_score) == ("17", 1.0)
    compiled.save(tmp_path / "desk.json")
    code = (
        "import dspy, json, sys\n"
        "from toy_world import Desk, teacher\n"
        "desk = Desk()\n"
        "desk.load(sys.argv[1])\n"
        "with dspy.context(lm=teacher()):\n"
        "    print(json.dumps(dict(desk(note=sys.argv[2]).items())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "desk.json"), NOTE],
        capture_output=True, text=True, check=False, cwd=DOUBLES,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == dict(answer.items())


@pytest.mark.usefixtures("lm")
def test_an_optimiser_may_bootstrap_the_lessons_own_predictor():
    desk = Desk()
    desk.read.signature = desk.read.signature.with_instructions(TAUGHT)
    compiled = dspy.BootstrapFewShot(metric=right, max_labeled_demos=0).compile(desk, trainset=NOTES)
    demos = compiled.solve.program.predict.demos
    assert demos
    assert all(" plus " in demo.reasoning for demo in demos)


@pytest.mark.usefixtures("lm")
def test_parallel_and_evaluate(tmp_path):
    desk = Desk()
    desk.read.signature = desk.read.signature.with_instructions(TAUGHT)
    answers = dspy.Parallel(num_threads=4)([(desk, example.inputs()) for example in NOTES])
    assert [found.answer for found in answers] == [example.answer for example in NOTES]
    alone = LbTRerank(exam_students=[pupil()], exam=Fixed(NOTES_AS_QUESTIONS, problems=2), rationales=6)
    program = alone.compile(solver())
    evaluate = dspy.Evaluate(
        devset=NOTES_AS_QUESTIONS, metric=right, num_threads=4, save_as_json=str(tmp_path / "all.json")
    )
    assert evaluate(program).score == 100.0
    rows = json.loads((tmp_path / "all.json").read_text())
    assert len(rows) == len(NOTES)
    assert rows[0]["lbt_score"] == 1.0


NOTES_AS_QUESTIONS = [
    dspy.Example(question=f"What is {n} and {n + 1}?", answer=str(2 * n + 1)).with_inputs("question")
    for n in range(3, 9)
]


@pytest.mark.usefixtures("lm")
def test_asynchronous_calls_answer_the_same():
    program = Desk().solve

    async def both():
        return await asyncio.gather(*(program.acall(question=f"What is {n} and 9?") for n in (7, 8)))

    assert [found.answer for found in asyncio.run(both())] == ["16", "17"]
    assert program(question="What is 8 and 9?").answer == "17"


@pytest.mark.usefixtures("lm")
def test_asynchronous_calls_leave_the_same_trace():
    program = Desk().solve

    async def traced():
        with dspy.context(trace=[]):
            await program.acall(question="What is 8 and 9?")
            return list(dspy.settings.trace)

    ((predictor, asked, given),) = asyncio.run(traced())
    assert predictor is program.program.predict
    assert (asked["question"], given.answer) == ("What is 8 and 9?", "17")


def test_trying_again_samples_other_lessons():
    """`BestOfN`, SIMBA and bootstrapping ask for another answer by a `rollout_id` on the LM."""
    lm = teacher()
    program = LbTRerank(exam_students=[], exam=None, selection="maj", rationales=1).compile(solver())

    def answers(rollouts):
        found = []
        for rollout in rollouts:
            program.set_lm(lm.copy(rollout_id=rollout, temperature=1.0))
            found.append(program(question="What is 8 and 9?").answer)
        return found

    first = answers([None, 0, 1, 2, 3])
    assert first[0] == first[1]
    assert set(first) == {"17", "72"}
    sent = len(lm.engine.prompts)
    assert sent == 4
    assert answers([None, 0, 1, 2, 3]) == first
    assert len(lm.engine.prompts) == sent
    best = dspy.BestOfN(module=program, N=4, reward_fn=lambda args, found: float(found.answer == "72"), threshold=1.0)
    with dspy.context(lm=lm, trace=[]):
        program.set_lm(None)
        assert best(question="What is 8 and 9?").answer == "72"


def test_copies_are_independent_and_share_what_was_paid():
    desk = Desk()
    desk.set_lm(teacher())
    desk.read.signature = desk.read.signature.with_instructions(TAUGHT)
    answer = desk(note=NOTE)
    ledger = desk.solve._till.ledger
    sent = ledger.journal.sent()
    copied = desk.deepcopy()
    assert copied(note=NOTE).answer == answer.answer
    assert ledger.journal.sent() == sent
    copied.solve.program.predict.demos = [dspy.Example(question="x", reasoning="y", answer="z")]
    assert desk.solve.program.predict.demos == []
    assert copied.solve.program.predict.lm is not None


def test_no_key_is_in_any_file_written(tmp_path):
    far = dspy.LM("openai/far", api_key=SECRET, headers={"Authorization": SECRET}, max_tokens=77,
                  api_base=f"https://user:{SECRET}@host/v1")  # fmt: skip
    program = LbTRerank(
        exam_students=[dspy.LM("openai/near", api_key=SECRET, extra_headers={"x": SECRET})],
        exam=Nearest(NOTES, embedder=dspy.Embedder("openai/embed", api_key=SECRET, dimensions=9)),
    ).compile(solver())
    program.set_lm(far)
    program.save(tmp_path / "whole", save_program=True)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    loaded = dspy.load(tmp_path / "whole", allow_pickle=True)
    lm = loaded.program.predict.lm
    assert (lm.model, lm.kwargs["max_tokens"], lm.kwargs["api_base"]) == ("openai/far", 77, "https://host/v1")
    assert loaded.exam_students.names == ["openai/near"]
    assert program.deepcopy().program.predict.lm.kwargs["api_key"] == SECRET
    assert far.kwargs["api_key"] == SECRET
    embedders = [found._options.value.exam.embedder for found in (loaded, program, program.deepcopy())]
    assert [e.default_kwargs.get("api_key") for e in embedders] == [None, SECRET, SECRET]
    assert embedders[0].default_kwargs == {"dimensions": 9}


def test_a_routed_model_is_not_written_at_all(tmp_path, monkeypatch):
    """Neither is it in JSON: its deployments hold addresses and keys."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    program = Desk().solve
    program.set_lm(LMRoles().lms(["openai/gpt-4o-mini"])[0])
    with pytest.raises(RuntimeError, match=r"set_lm\(None\) before saving"):
        program.save(tmp_path / "whole", save_program=True)
    with pytest.raises(TypeError, match=r"set_lm\(None\) before saving"):
        program.save(tmp_path / "state.json")
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_whole_program_is_loaded_with_its_students_by_name(tmp_path, examples):
    program = LbTRerank(
        exam_students=[embedded_lm(name) for name in STUDENTS[:2]], exam=Fixed(examples[::7], problems=3),
        rationales=3, sittings=1, schedule="full",
    ).compile(dspy.Predict("text -> label"))  # fmt: skip
    demos = examples[:3] + examples[-3:]
    program.program.demos = demos
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        expected = program(text="A sweet song.")
        program.save(tmp_path / "whole", save_program=True)
        code = (
            "import dspy, sys\n"
            "from lbt_dspy.lms.embedded import embedded_lm\n"
            "program = dspy.load(sys.argv[1], allow_pickle=True)\n"
            "with dspy.context(lm=embedded_lm('embedded/teacher')):\n"
            "    found = program(text='A sweet song.')\n"
            "print(found.label, found.lbt_score)\n"
        )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "whole")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{expected.label} {expected.lbt_score}"


@pytest.mark.usefixtures("lm")
def test_a_state_with_other_students(tmp_path):
    """The saved students sit the exams; one that nobody knows is an error with its name, not another student."""
    Desk(exam_students=[pupil("embedded/words")]).save(tmp_path / "known.json")
    desk = Desk()
    desk.load(tmp_path / "known.json")
    assert desk.solve.exam_students.names == ["embedded/words"]
    Desk(exam_students=[pupil("toy/stranger")]).save(tmp_path / "unknown.json")
    desk.load(tmp_path / "unknown.json")
    with pytest.raises(UserError, match="toy/stranger"):
        desk.solve(question="What is 8 and 9?")
    again = Desk(exam_students=[pupil("toy/stranger")])
    again.load(tmp_path / "unknown.json")
    assert again.solve(question="What is 8 and 9?").exam.students == ("toy/stranger",)


def test_a_program_with_a_model_of_our_own_is_saved(tmp_path):
    program = Desk().solve
    program.set_lm(embedded_lm("embedded/teacher"))
    program.save(tmp_path / "own.json")
    program.load(tmp_path / "own.json", allow_unsafe_lm_state=True)
    assert program.get_lm().model == "embedded/teacher"
