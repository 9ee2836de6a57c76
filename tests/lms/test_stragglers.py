"""Order, connections and load: what hangs or turns slow holds up nothing else."""

import asyncio
import threading

import dspy
import pytest
from conftest import slow, stats
from recording_server import YES, completion, recording, refusal

from lbt_dspy import Budget, ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger, LMRoles
from lbt_dspy.errors import BudgetSpentError, StoppedError
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.lms.event_loop import EventLoop

pytestmark = pytest.mark.usefixtures("short_waits")


def fleet(tmp_path, *urls, timeout=60, client="lean"):
    path = tmp_path / "fleet.yaml"
    path.write_text(
        "model_list:\n"
        + "".join(
            f"- {{model_name: a, litellm_params: {{model: hosted_vllm/m, api_base: '{url}', timeout: {timeout}}}}}\n"
            for url in urls
        )
    )
    return LMRoles(path, client=client).lms(["a"])[0]


def problems(count):
    return [ExamProblem(example=dspy.Example(text=f"t{i}.", label="Yes").with_inputs("text")) for i in range(count)]


def examine(program, lm, ledger, count):
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
    return examiner.examine([Exam(material=(), problems=problems(count))], [lm])[0][0]


def test_a_deployment_that_is_slow_gets_few_requests(server, program, tmp_path):
    with server("--latency", "0.01") as fast, server("--latency", "1") as slow:
        report = examine(program, fleet(tmp_path, fast, slow), Ledger(workers=8), 200)
        assert report.coverage == 1.0
        assert stats(slow)["requests"] <= 16
        assert stats(fast)["requests"] + stats(slow)["requests"] == 200


def test_a_deployment_that_fails_fast_gets_few_requests(server, program, tmp_path):
    with server("--latency", "0.01") as good, server("--server-error", "1") as bad:
        ledger = Ledger(workers=8)
        report = examine(program, fleet(tmp_path, good, bad), ledger, 200)
        assert report.coverage == 1.0
        assert stats(bad)["requests"] <= 20
        assert stats(good)["requests"] == 200
        assert stats(bad)["requests"] + 200 == ledger.journal.sent()


def test_deployments_that_are_alike_share_the_load(program, tmp_path):
    with recording() as (one, first), recording() as (other, second):
        examine(program, fleet(tmp_path, one, other), Ledger(workers=4), 60)
        assert min(len(first.raw), len(second.raw)) >= 20


@pytest.mark.parametrize("client", ["lean", *slow("litellm")])
def test_a_hang_delays_neither_the_others_nor_the_end_beyond_its_timeout(client, program, tmp_path):
    """All others are answered while one hangs; only its timeout ends it, and it is asked once more."""
    others = threading.Event()
    seen = []

    async def answer(body):
        text = body["messages"][-1]["content"]
        seen.append("t0." in text)
        if len(seen) - sum(seen) == 19:
            others.set()
        if seen[-1] and sum(seen) == 1:
            while not others.is_set():  # it would hang for ever if the others waited for it
                await asyncio.sleep(0.005)
            await asyncio.Event().wait()
        return completion(YES)

    with recording(answer) as (url, _):
        ledger = Ledger(workers=4)
        report = examine(program, fleet(tmp_path, url, timeout=4, client=client), ledger, 20)
    assert report.coverage == 1.0
    assert (len(seen), sum(seen), ledger.journal.sent()) == (21, 2, 21)
    assert seen.index(True) == 0
    assert seen[-1]  # asked once more when all others had long been answered


def test_connections_are_kept(program, tmp_path):
    with recording() as (url, recorder):
        examine(program, fleet(tmp_path, url), Ledger(workers=4), 60)
        examine(program, fleet(tmp_path, url), Ledger(workers=4), 60)  # another run of the process uses the same ones
        assert len(recorder.raw) == 120
        assert len(recorder.connections) <= 4


def test_a_connection_that_the_server_closed_costs_nothing_but_a_retry(program, tmp_path):
    def answer(body):
        return (
            refusal(503, headers={"Connection": "close"})
            if "t3." in body["messages"][-1]["content"]
            else completion(YES)
        )

    with recording(answer) as (url, recorder):
        report = examine(program, fleet(tmp_path, url), Ledger(workers=2, retries=1), 10)
        assert report.coverage == 0.9
        assert len(recorder.raw) == 11


class Waiting(ModelEngine):
    """Answers only when as many requests are in flight as it was told of."""

    def __init__(self, together):
        super().__init__("waiting", "waiting")
        self.barrier = asyncio.Barrier(together)

    def answer(self, request, faults=()):
        raise AssertionError("asked in a thread")

    async def ask(self, request, faults=(), choices=1):
        await asyncio.wait_for(self.barrier.wait(), 30)
        return [Answer(YES)]


def test_as_many_requests_are_in_flight_as_there_are_workers(program):
    report = examine(program, lm_of(Waiting(16)), Ledger(workers=16), 64)
    assert report.coverage == 1.0


class Stuck(ModelEngine):
    """The first request fails only when it may; others wait for the budget meanwhile."""

    def __init__(self):
        super().__init__("stuck", "stuck")
        self.asked, self.may_end = threading.Event(), threading.Event()
        self.count = 0

    def answer(self, request, faults=()):
        self.count += 1
        self.asked.set()
        assert self.may_end.wait(30)
        return Answer(YES, cost=0.0)

    def worst_cost(self, request, choices=1):
        return 0.6


def test_a_call_that_waits_for_the_budget_is_not_sent_after_a_stop(program):
    engine, ledger = Stuck(), Ledger(budget=Budget(max_cost=1.0), workers=2)
    outcome = []

    def run():
        with pytest.raises((StoppedError, BudgetSpentError)) as caught:
            examine(program, lm_of(engine), ledger, 2)
        outcome.append(caught.type)

    thread = threading.Thread(target=run)
    thread.start()
    assert engine.asked.wait(30)
    EventLoop.run(asyncio.sleep(0))
    ledger.stop()
    engine.may_end.set()
    thread.join(30)
    ledger.finish()
    assert outcome == [StoppedError]
    assert engine.count == 1 == ledger.journal.sent()


def test_a_run_that_is_given_up_ends_though_a_server_hangs(program, tmp_path):
    async def never(body):
        asked.set()
        await asyncio.Event().wait()

    asked = threading.Event()
    with recording(never) as (url, _):
        ledger = Ledger(Journal(tmp_path / "j"), workers=2)
        errors = []

        def run():
            try:
                examine(program, fleet(tmp_path, url), ledger, 5)
            except StoppedError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert asked.wait(30)
        ledger.abandon()
        thread.join(30)
        ledger.close()
    assert len(errors) == 1
    journal = Journal(tmp_path / "j")
    assert 1 <= journal.sent() <= 2  # they may have been paid for
    assert journal.calls() == {}


@pytest.mark.parametrize("client", ["lean", *slow("litellm")])
@pytest.mark.parametrize("status", [401, 404, 500])
def test_what_a_dead_deployment_refuses_another_one_is_asked_and_the_dead_one_rests(client, status, program, tmp_path):
    """Also one whose key is wrong, or that does not know the model: a refusal by one is none by all."""
    with recording() as (good, kept), recording(lambda body: refusal(status, "no")) as (dead, refused):
        ledger = Ledger(workers=1, retries=1)
        report = examine(program, fleet(tmp_path, good, dead, client=client), ledger, 40)
    assert report.coverage == 1.0
    assert len(kept.raw) == 40
    assert 1 <= len(refused.raw) <= 12
