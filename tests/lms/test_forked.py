"""A process that was forked from one that has asked models already."""

import importlib.util
import multiprocessing
import os

import dspy
import pytest
from recording_server import recording

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger, LMRoles
from lbt_dspy.errors import ModelRejectedError


def problems(name, count=8):
    examples = [dspy.Example(text=f"{name} {i}", label="Yes").with_inputs("text") for i in range(count)]
    return [ExamProblem(example=example) for example in examples]


def examine(program, lm, name, path):
    ledger = Ledger(Journal(path), workers=4)
    report = Examiner(program, grader=ExactMatch("label"), ledger=ledger).examine(
        [Exam(material=(), problems=problems(name))], [lm]
    )[0][0]
    ledger.close()
    return report.coverage


def in_child(queue, program, lm, path):
    try:
        outcome = examine(program, lm, "child", path)
    except ModelRejectedError as error:
        outcome = str(error)
    queue.put((os.getpid(), outcome))


@pytest.mark.parametrize("client", ["lean", "litellm"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_asks_as_its_parent_did(client, program, tmp_path):
    """And the parent's connections are left as they were. LiteLLM cannot from 1.110 on: one error, nothing sent."""
    fork = multiprocessing.get_context("fork")
    with recording() as (url, recorder):
        (lm,) = LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])
        assert examine(program, lm, "before", tmp_path / "parent") == 1.0
        queue = fork.Queue()
        children = [fork.Process(target=in_child, args=(queue, program, lm, tmp_path / f"c{i}")) for i in range(2)]
        for child in children:
            child.start()
        outcomes = [queue.get(timeout=60) for _ in children]
        for child in children:
            child.join(60)
        assert [child.exitcode for child in children] == [0, 0]
        if client == "litellm" and importlib.util.find_spec("litellm.rust_bridge.fork_guard"):
            told = "was forked from one that had asked models through LiteLLM"  # whose threads do not outlive a fork
            assert all(told in outcome for _, outcome in outcomes)
            asked = 2 * 8
        else:
            assert [coverage for _, coverage in outcomes] == [1.0, 1.0]
            asked = 4 * 8
        assert len({os.getpid(), *(pid for pid, _ in outcomes)}) == 3
        kept = len(recorder.connections)
        assert examine(program, lm, "after", tmp_path / "parent") == 1.0
        assert len(recorder.raw) == asked
        assert len(recorder.connections) <= kept + (0 if client == "lean" else 4)
