"""The ledger against the real fault-injecting server: what each fault means, what is counted, what is paid."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import dspy
import pytest
from conftest import slow, stats
from dspy import lm15

from lbt_dspy import (
    Account,
    Budget,
    BudgetSpentError,
    ExactMatch,
    Exam,
    Examiner,
    ExamProblem,
    Journal,
    Ledger,
    LMRoles,
)
from lbt_dspy.errors import ModelRejectedError, ModelUnreachableError, StoppedError
from lbt_dspy.ledger import payment
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import fault_of
from lbt_dspy.lms.redaction import scrub
from lbt_dspy.lms.user_lm import engine_of


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(payment, "FIRST_WAIT", 0.01)


def problems(count, start=0):
    return [
        ExamProblem(example=dspy.Example(text=f"text {i}", label="Yes").with_inputs("text"))
        for i in range(start, start + count)
    ]


@pytest.fixture(params=["lean", *slow("litellm")])
def client(request):
    return request.param


@pytest.fixture
def vllm(client):
    """Names the model of a server, asked through either client."""
    return lambda base_url: LMRoles(client=client).lms([f"hosted_vllm/tiny@{base_url}"])[0]


def examine(program, lm, ledger, count=40, **options):
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger, config={"temperature": 0.0})
    return examiner.examine([Exam(material=(), problems=problems(count))], [lm], **options)[0][0]


FAULTS = [
    ("--rate-limit", 1.0),
    ("--server-error", 1.0),
    ("--disconnect", 1.0),
    ("--malformed", 1.0),
    ("--truncated", 1.0),
]


@pytest.mark.parametrize(("fault", "share"), FAULTS, ids=[f for f, _ in FAULTS])
def test_a_failed_call_is_not_measured_and_every_attempt_is_counted(fault, share, server, program, vllm):
    with server(fault, "0.6") as base_url:
        ledger = Ledger(workers=8, retries=1)
        account = Account()
        report = examine(program, vllm(base_url), ledger, account=account)
        measured = len(report.marks)
        assert 0 < measured < 40
        assert report.coverage == measured / 40
        assert account.failed == 40 - measured == ledger.journal.failed()
        requests = stats(base_url)["requests"]
        assert requests == ledger.journal.sent() == sum(account.calls.values())
        assert all(s.mark.reason for row in report.sittings for s in row if s.mark.value is None)


def test_retries_measure_nearly_everything(server, program, vllm):
    options = "--rate-limit 0.08 --server-error 0.08 --disconnect 0.07 --malformed 0.07".split()
    with server(*options) as base_url:
        report = examine(program, vllm(base_url), Ledger(workers=16, retries=12), count=60)
        assert report.coverage == 1.0


def test_an_empty_answer_is_measured_and_wrong(server, program, vllm):
    with server("--empty", "0.5") as base_url:
        report = examine(program, vllm(base_url), Ledger(workers=4))
        assert report.coverage == 1.0
        empty = [s for row in report.sittings for s in row if s.mark.reason == "empty answer"]
        assert 5 < len(empty) < 35
        assert {s.mark.value for s in empty} == {0.0}


def test_a_hang_costs_its_timeout_and_is_asked_once_more(server, program, tmp_path, client):
    config = tmp_path / "c.yaml"
    with server("--hang", "0.2") as base_url:
        config.write_text(
            f"model_list: [{{model_name: m, litellm_params: {{model: hosted_vllm/tiny, api_base: '{base_url}', "
            "timeout: 0.3}}]"
        )
        lm = LMRoles(config, client=client).lms(["m"])[0]
        ledger = Ledger(workers=20)
        report = examine(program, lm, ledger)
        lost = [s for row in report.sittings for s in row if s.mark.value is None]
        assert all("timeout" in s.mark.reason for s in lost)
        assert report.coverage > 0.7
        assert stats(base_url)["requests"] == ledger.journal.sent() <= 80


def test_a_refused_key_stops_the_run(server, program, monkeypatch, vllm):
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", "sk-wrong-secret-1")
    with server("--auth-key", "right") as base_url:
        with pytest.raises(ModelRejectedError, match="refuses every call") as caught:
            examine(program, vllm(base_url), Ledger(workers=2))
        assert "sk-wrong-secret-1" not in str(caught.value)
        assert stats(base_url)["requests"] <= 6


def test_an_absent_server_stops_the_run(program, client):
    with pytest.raises(ModelUnreachableError, match="check that its server is up"):
        examine(
            program,
            LMRoles(client=client).lms(["hosted_vllm/x@http://127.0.0.1:9/v1"])[0],
            Ledger(workers=4, retries=0),
        )


@pytest.mark.parametrize("workers", [1, 64])
def test_the_call_limit_is_never_exceeded(workers, server, program, vllm):
    with server("--rate-limit", "0.2", "--server-error", "0.1") as base_url:
        ledger = Ledger(budget=Budget(max_calls=70), workers=workers)
        with pytest.raises(BudgetSpentError, match="70 calls"):
            examine(program, vllm(base_url), ledger, count=200)
        with pytest.raises(StoppedError, match="make a new one on the same journal"):
            examine(program, vllm(base_url), ledger, count=200)
        ledger.close()
        assert stats(base_url)["requests"] == 70


class Slow(ModelEngine):
    """Answers when it may; says when it is asked."""

    def __init__(self):
        super().__init__("slow", "slow")
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def answer(self, request, faults=()):
        self.asked.set()
        assert self.may_answer.wait(60)
        return Answer("done")


def calls_to(engine, *keys):
    return [SimpleNamespace(key=key, engine=engine, request=None, batch=None) for key in keys]


def test_a_stop_wakes_the_threads_whose_calls_wait_for_their_turn():
    engine, ledger = Slow(), Ledger(workers=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ledger.ask, calls_to(engine, b"1", b"2", b"3"), role="student", account=Account())
        assert engine.asked.wait(60)
        ledger.stop()
        engine.may_answer.set()
        with pytest.raises(StoppedError):
            waiting.result(60)
    ledger.finish()
    assert ledger.journal.sent() == 1


def test_the_error_that_stopped_the_calls_is_raised_wherever_they_are_waited_for():
    ledger, spent, stopped = Ledger(), Future(), Future()
    spent.set_exception(BudgetSpentError("the budget is spent"))
    stopped.set_exception(StoppedError("stopped before the call was sent"))
    for future in (spent, stopped):
        with pytest.raises(BudgetSpentError):
            ledger.map([future])


def test_what_is_in_the_journal_is_never_asked_again(server, program, tmp_path, vllm):
    with server("--rate-limit", "0.3") as base_url:
        lm = vllm(base_url)
        first = Ledger(Journal(tmp_path / "j"), workers=8, retries=0)
        before = examine(program, lm, first, count=60)
        first.close()
        asked = stats(base_url)["requests"]
        second = Ledger(Journal(tmp_path / "j"), workers=3, retries=9)
        after = examine(program, lm, second, count=60)
        failed = 60 - len(before.marks)
        assert after.coverage == 1.0
        assert stats(base_url)["requests"] - asked >= failed > 0
        assert stats(base_url)["requests"] - asked == second.journal.sent() - asked
        again = stats(base_url)["requests"]
        assert examine(program, lm, second, count=60) == after
        assert stats(base_url)["requests"] == again


def test_the_same_call_at_the_same_time_is_paid_once(server, program, vllm):
    with server("--latency", "0.1") as base_url:
        lm, ledger = vllm(base_url), Ledger(workers=8)
        reports = []
        threads = [
            threading.Thread(target=lambda: reports.append(examine(program, lm, ledger, count=4))) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stats(base_url)["requests"] == 4
        assert all(report == reports[0] for report in reports)


def test_sittings_have_seeds_of_their_own(server, program, tmp_path, client):
    answers = tmp_path / "a.json"
    answers.write_text(json.dumps([{"contains": "text", "fields": {"label": ["Yes", "No"]}}]))
    with server("--answers", str(answers)) as base_url:
        lm = LMRoles(client=client).lms([f"hosted_vllm/tiny@{base_url}"])[0].copy(temperature=1.0)
        report = examine(program, lm, Ledger(workers=4), count=10, sittings=6)
        again = examine(program, lm, Ledger(workers=1), count=10, sittings=6)
    marks = [s.mark.value for row in report.sittings for s in row]
    assert set(marks) == {0.0, 1.0}
    assert [len(row) for row in report.sittings] == [6] * 10
    assert report == again


def test_a_users_own_lm_works_too(server, program):
    with server("--server-error", "0.3") as base_url:
        lm = dspy.LM("openai/own", api_base=base_url, api_key="sk-own-secret-9")
        ledger = Ledger(workers=4, retries=12)
        assert examine(program, lm, ledger).coverage == 1.0
        assert stats(base_url)["requests"] == ledger.journal.sent()


def test_a_deployment_that_fails_gets_less_and_loses_nothing(server, program, tmp_path, client):
    faults = "--rate-limit 0.1 --server-error 0.1 --disconnect 0.05 --malformed 0.05".split()
    with server() as good, server(*faults) as bad:
        config = tmp_path / "fleet.yaml"
        config.write_text(
            "model_list:\n"
            + "".join(
                f"- {{model_name: fleet, litellm_params: {{model: hosted_vllm/tiny, api_base: '{url}'}}}}\n"
                for url in (good, bad)
            )
        )
        ledger = Ledger(workers=8)
        report = examine(program, LMRoles(config, client=client).lms(["fleet"])[0], ledger, count=150)
        assert report.coverage == 1.0
        assert 0 < stats(bad)["requests"] < stats(good)["requests"]
        assert stats(bad)["requests"] + stats(good)["requests"] == ledger.journal.sent()


def test_fallbacks_are_asked_and_counted(server, program, tmp_path):
    with server("--server-error", "1.0") as bad, server() as good:
        config = tmp_path / "f.yaml"
        config.write_text(
            "model_list:\n"
            f"- {{model_name: first, litellm_params: {{model: hosted_vllm/a, api_base: '{bad}'}}}}\n"
            f"- {{model_name: second, litellm_params: {{model: hosted_vllm/b, api_base: '{good}'}}}}\n"
            "router_settings: {fallbacks: [{first: [second]}], num_retries: 7}\n"
        )
        ledger = Ledger(workers=2)
        report = examine(program, LMRoles(config).lms(["first"])[0], ledger, count=12)
        assert report.coverage == 1.0
        assert stats(good)["requests"] == 12
        assert stats(bad)["requests"] + 12 == ledger.journal.sent() == 36


def test_costs_come_back_and_are_a_gate(server, program, tmp_path, client):
    with server() as base_url:
        config = tmp_path / "p.yaml"
        config.write_text(
            "model_list:\n- model_name: priced\n"
            f"  litellm_params: {{model: hosted_vllm/a, api_base: '{base_url}', max_tokens: 10}}\n"
            "  model_info: {input_cost_per_token: 0.001, output_cost_per_token: 0.002}\n"
        )
        lm = LMRoles(config, client=client).lms(["priced"])[0]
        account, ledger = Account(), Ledger(workers=4)
        examine(program, lm, ledger, count=5, account=account)
        seen = stats(base_url)
        true_cost = seen["prompt_tokens"] * 0.001 + seen["completion_tokens"] * 0.002
        assert account.cost == pytest.approx(true_cost) == pytest.approx(ledger.journal.spent())
        assert ledger.journal.charged() == pytest.approx(true_cost)
        gated = Ledger(budget=Budget(max_cost=true_cost * 3), workers=4)
        with pytest.raises(BudgetSpentError, match=r"no room"):
            examine(program, lm, gated, count=50)
        gated.close()
        assert gated.budget.cost <= true_cost * 3


def test_retry_after_is_read_and_honoured(server, vllm):
    with server("--rate-limit", "1") as base_url:
        engine = engine_of(vllm(base_url))
        with pytest.raises(lm15.RateLimitError) as caught:
            engine.answer(lm15.Request(model="t", messages=(lm15.Message.user("x"),)))
    fault = fault_of(caught.value)
    assert fault.wait == 0.05
    assert payment.pause_of(b"key", 1, fault) == 0.05


def test_a_request_that_was_lost_is_charged_at_its_worst_case(server, program, tmp_path):
    """As after kill -9: counted and charged, never answered."""
    journal = Journal(tmp_path / "j")
    journal.count_sent("teacher", "m", charge=0.75)
    journal.close()
    ledger = Ledger(Journal(tmp_path / "j"), Budget(max_cost=1.0))
    assert (ledger.budget.calls, ledger.budget.cost) == (1, 0.75)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Incorrect API key provided: sk-abc123456789. You can", "abc123456789"),
        ("header Authorization: Bearer tok_1234567", "tok_1234567"),
        ("cannot reach https://user:hunter2@host/v1", "hunter2"),
        ("api_key='plainsecret'", "plainsecret"),
    ],
)
def test_messages_are_scrubbed(text, secret):
    assert secret not in scrub(text)


def test_given_secrets_are_scrubbed_wherever_they_stand():
    fault = fault_of(RuntimeError("the phrase correct-horse was refused"), ("correct-horse",))
    assert "correct-horse" not in fault.reason
