"""A tuned checkpoint, served by a real vLLM server that `LbTDPO` starts, writes what it writes in this process."""

import importlib.util
import os

import dspy
import pytest
from vllm_server import BLOCK, SETTINGS

from lbt_dspy import ExactMatch, Variants
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.embedded.classroom import ClassroomAdapter, ClassroomEngine
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.lms.vllm_server import VLLM
from lbt_dspy.teleprompters.dpo.optimizer import LbTDPO

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]
ARGUMENTS = ("--dtype", "float32", "--max-model-len", "512", "--enforce-eager", "--block-size", str(BLOCK))
PROMPTS = 50


@pytest.fixture(scope="module")
def server():
    missing = [name for name in ("vllm", "trl") if importlib.util.find_spec(name) is None]
    if missing:
        told = f"{' and '.join(missing)} not installed; docs/models.md and docs/m2.md say how to"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    serve = VLLM(arguments=ARGUMENTS, environment=SETTINGS, seconds=400)
    yield serve
    serve.stop()


def test_a_tuned_teacher_is_served_and_writes_what_it_writes_in_process(server, tmp_path):
    taught = classroom_problems(90, seed=5, split="dev")
    held_out = classroom_problems(PROMPTS, seed=6, split="dev", variants=1).teaching_examples
    program = dspy.ChainOfThought("question -> answer")
    program.set_lm(embedded_lm("embedded/classroom-teacher"))
    found = LbTDPO(
        exam_students=["embedded/classroom-student-a"], exam=Variants(taught.bank, problems=3),
        grader=ExactMatch("answer"), folder=tmp_path, rationales=12, sittings=1, weight=0.0, gap=0.6, nll_weight=50.0,
        learning_rate=5e-4, epochs=3, temperature=1.0, config={"temperature": 1.0}, adapter=ClassroomAdapter(),
        serve=server,
    ).optimize(program, trainset=taught.teaching_examples, valset=held_out)  # fmt: skip
    (one,) = found.rounds
    print(f"\nserved by vLLM: {one.compared.sentence()}")
    assert one.kept
    served = found.program.predictors()[0].lm
    assert engine_of(served).name.startswith("hosted_vllm/round-1-checkpoint@http://127.0.0.1:")
    own = lm_of(ClassroomEngine("embedded/classroom-teacher", checkpoint=one.checkpoint))
    texts = []
    for lm in (served, own):
        solve = dspy.Predict("question -> reasoning, answer")
        solve.set_lm(lm)
        with dspy.context(adapter=ClassroomAdapter()):
            answers = [solve(question=row.question, config={"temperature": 0.0}) for row in held_out]
        texts.append([(answer.reasoning, answer.answer) for answer in answers])
    assert len(texts[0]) == PROMPTS
    assert texts[0] == texts[1]
