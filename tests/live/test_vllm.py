"""A real vLLM server under the library: M1, a fleet of which one server dies, seeds, log-probabilities, prefix cache.

`.ci/run` installs vLLM for a CPU and runs these with `pytest -m vllm tests/live -s`.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dspy
import pytest
from dspy.lm15 import request_from_openai_chat
from vllm_server import BLOCK, serving

from lbt_dspy import LbTRerank, Ledger, LMRoles, Variants
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.benchmarks.tasks.classroom.texts import numbers_of
from lbt_dspy.benchmarks.tasks.classroom.world import END
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.embedded.classroom import ClassroomAdapter
from lbt_dspy.lms.logprobs import decode
from lbt_dspy.lms.user_lm import engine_of

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]
SOLVE = dspy.Signature("question -> reasoning, answer")
WORKERS = 16
FLEET = """
model_list:
  - model_name: fleet
    litellm_params: &params {{model: hosted_vllm/student-a, api_base: "{one}", temperature: 0.0}}
  - model_name: fleet
    litellm_params: {{<<: *params, api_base: "{other}"}}
"""


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Serve teacher and student; without vLLM these tests fail in CI, and are skipped elsewhere."""
    if importlib.util.find_spec("vllm") is None:
        told = "vLLM is not installed; docs/models.md says how to, with a GPU or without"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    start = time.monotonic()
    with serving(("teacher", "student-a"), tmp_path_factory.mktemp("vllm")) as running:
        print(f"\nvLLM is up after {time.monotonic() - start:.0f} s")
        yield running


@pytest.fixture(params=["teacher", "student-a"])
def pair(request, servers):
    """A model as vLLM serves it, and the same one in this process."""
    (served,) = LMRoles().lms([servers[request.param].name])
    return engine_of(served), engine_of(embedded_lm(f"embedded/classroom-{request.param}"))


def reranked(teacher, student, problems, *, ledger, **options):
    """Compile the classroom's program."""
    program = dspy.Predict(SOLVE)
    program.set_lm(teacher)
    return LbTRerank(
        exam_students=[student], exam=Variants(problems.bank), temperature=1.0, adapter=ClassroomAdapter(),
        ledger=ledger, **options,
    ).compile(program)  # fmt: skip


def answered(program, problems):
    return [program(question=row.question, unique_id=row.unique_id) for row in problems.teaching_examples]


def requests(count, **settings):
    """Questions without a lesson, after a right one, and after a wrong one."""
    problems = classroom_problems(count, seed=3)
    rows = []
    for taught, variants in zip(problems.teaching, problems.variants, strict=True):
        works = [None, *(taught.work(candidate) for candidate in taught.skill.candidates[:2])]
        for work, asked in zip(works, variants, strict=True):
            reasoning, answer = work or ("", "")
            lesson = [dspy.Example(question=taught.question, reasoning=reasoning, answer=answer)] if work else []
            messages = ClassroomAdapter().format(SOLVE, lesson, {"question": asked.question})
            rows.append(request_from_openai_chat({"model": "m", "messages": messages, "max_tokens": 40, **settings}))
    return rows


def test_the_server_writes_what_the_models_in_this_process_write(pair):
    """Through the chat template, tokens and log-probabilities included; vLLM lists the end token too."""
    asked = requests(20, temperature=0.0, logprobs=True, top_logprobs=3)
    with ThreadPoolExecutor(WORKERS) as pool:
        served, own = (list(pool.map(engine.answer, asked)) for engine in pair)
    assert [answer.text for answer in served] == [answer.text for answer in own]
    assert len({answer.text for answer in own}) > 20
    for one, other in zip(served, own, strict=True):
        assert one.input_tokens == other.input_tokens
        listed = decode(one.logprobs)[: len(decode(other.logprobs))]
        for (token, log, top), (own_token, own_log, own_top) in zip(listed, decode(other.logprobs), strict=True):
            assert token.strip() == own_token
            assert log == pytest.approx(own_log, abs=1e-3)
            assert sorted(top.values()) == pytest.approx(sorted(own_top.values()), abs=1e-3)


def test_given_texts_are_as_likely_to_the_server_as_in_this_process(pair):
    """What marks by evidence stand on (vLLM's `prompt_logprobs`)."""
    answer = {"role": "assistant", "content": "R x+y:1+2=3 A 3"}
    for name in ("ba", "du", "ke"):
        messages = [{"role": "user", "content": f"Q {name} x1 y2 z3"}, answer]
        request = request_from_openai_chat({"model": "m", "messages": messages})
        one, other = (decode(engine.score(request).logprobs) for engine in pair)
        assert [token.strip() for token, _, _ in one] == [token for token, _, _ in other]
        assert [log for _, log, _ in one] == pytest.approx([log for _, log, _ in other], abs=1e-3)


def test_a_seed_is_a_text(pair):
    served, _ = pair

    def texts(seeds):
        return [served.answer(requests(1, temperature=1.5, seed=seed)[0]).text for seed in seeds]

    assert texts([5] * 4) == texts([5]) * 4
    assert len(set(texts(range(8)))) > 2


def test_one_request_gives_n_samples(servers):
    def samples(**settings):
        body = {"messages": [{"role": "user", "content": "Q ba x3 y5 z2"}], "n": 8, "temperature": 1.5, **settings}
        return [
            choice["message"]["content"] for choice in servers["teacher"].post("/chat/completions", **body)["choices"]
        ]

    assert len(samples(seed=1)) == 8
    assert len(set(samples(seed=1))) > 2
    assert samples(seed=1) == samples(seed=1) != samples(seed=2)


def test_teaching_beats_voting(servers):
    """Teacher and student on vLLM; both rules choose from the same lessons."""
    problems = classroom_problems(18, seed=7)
    teacher, student = LMRoles().lms([servers["teacher"].name, servers["student-a"].name])
    ledger = Ledger(workers=WORKERS)
    found = answered(reranked(teacher, student, problems, ledger=ledger), problems)
    truth = [row.answer for row in problems.teaching_examples]
    right = sum(prediction.answer == answer for prediction, answer in zip(found, truth, strict=True))
    voted = sum(next(iter(prediction.votes)) == answer for prediction, answer in zip(found, truth, strict=True))
    print(f"\nM1 through vLLM: {right} of {len(truth)} right, by vote {voted}; {ledger.journal.sent()} calls")
    assert right >= voted + 3
    assert all(prediction.exam.coverage == 1 for prediction in found)
    assert ledger.journal.failed() == 0


class Killer:
    """Told of a ledger's replies, kills a process after so many sittings."""

    def __init__(self, process, after):
        self.process = process
        self.left = after

    def replied(self, role, replies, *, from_journal):
        self.left -= len(replies) if role == "students" else 0
        if self.left <= 0:
            self.process.kill()


@contextlib.contextmanager
def relaying(port):
    """Hand connections on to a port from another one; gives that, and the process."""
    command = [sys.executable, str(Path(__file__).with_name("relay.py")), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as relay:
        try:
            yield int(relay.stdout.readline()), relay
        finally:
            relay.kill()


def test_a_fleet_loses_nothing_when_one_of_its_servers_dies(servers, tmp_path):
    """The exam is, mark by mark, that of the same student in this process."""
    problems = classroom_problems(5, seed=9)
    real = servers["student-a"]
    teacher, reference = (embedded_lm(f"embedded/classroom-{name}") for name in ("teacher", "student-a"))
    options = {"schedule": "full", "config": {"temperature": 0.0}}
    with relaying(real.port) as (port, relay):
        path = tmp_path / "fleet.yaml"
        path.write_text(FLEET.format(one=real.base_url, other=f"http://127.0.0.1:{port}/v1"))
        (fleet,) = LMRoles(path).lms(["fleet"])
        ledger = Ledger(workers=WORKERS, watcher=Killer(relay, after=60))
        found = answered(reranked(teacher, fleet, problems, ledger=ledger, **options), problems)
        assert relay.wait(10) == -signal.SIGKILL
        assert "connected" in relay.stdout.read()
    expected = answered(reranked(teacher, reference, problems, ledger=Ledger(), **options), problems)
    assert [prediction.lessons for prediction in found] == [prediction.lessons for prediction in expected]
    assert [prediction.answer for prediction in found] == [prediction.answer for prediction in expected]
    asked = sum(prediction.exam.asked for prediction in found)
    assert asked == sum(prediction.exam.measured for prediction in found) > 2 * 60
    assert ledger.journal.failed() == 0
    sent = ledger.journal.calls()["students", "fleet"]
    print(
        f"\none of two servers killed after 60 of {asked} sittings: {sent - asked} requests failed and were sent again"
    )
    assert sent > asked


def prompt_of(lesson, question):
    """Return a sitting's prompt in tokens."""
    messages = ClassroomAdapter().format(SOLVE, [lesson], {"question": question})
    return tuple(numbers_of("".join(m["content"] + END * (m["role"] == "assistant") for m in messages)))


def servable(prompts):
    """Return how many tokens whole blocks of earlier prompts could serve; a prompt's last token is always computed."""
    seen, tokens = set(), 0
    for prompt in prompts:
        blocks = [prompt[:end] for end in range(BLOCK, len(prompt) + 1, BLOCK)]
        tokens += BLOCK * sum(block in seen for block in blocks if len(block) < len(prompt))
        seen.update(blocks)
    return tokens


def test_sittings_of_a_lesson_share_its_cached_blocks(servers):
    problems = classroom_problems(6, seed=11, split="dev")  # digits of which no other test's prompts are made
    server = servers["student-a"]
    teacher, student = LMRoles().lms([servers["teacher"].name, server.name])
    counters = ("prefix_cache_queries_total", "prefix_cache_hits_total")
    before = [server.metric(name) for name in counters]
    program = reranked(teacher, student, problems, ledger=Ledger(workers=WORKERS), schedule="full")
    found = answered(program, problems)
    queried, hits = (server.metric(name) - old for name, old in zip(counters, before, strict=True))
    prompts = [
        prompt_of(lesson, variant.question)
        for prediction, variants in zip(found, problems.variants, strict=True)
        for lesson in {str(record.lesson): record.lesson for record in prediction.lessons}.values()
        for variant in variants * 3
    ]
    possible = servable(prompts)
    told = (
        f"prefix cache: {hits:.0f} of {queried:.0f} prompt tokens ({hits / queried:.0%}) in {len(prompts)} sittings, "
        f"{hits / possible:.0%} of the {possible} that whole blocks of {BLOCK} could serve"
    )
    print(f"\n{told}")
    assert queried == sum(map(len, prompts)), "each sitting was asked once, and as it is written here"
    assert hits >= 0.6 * possible, told
