"""Several sittings at a question as choices of one request."""

import json

import dspy
import pytest
from conftest import stats
from recording_server import YES, completion, recording, refusal
from school import ASK, teacher

from lbt_dspy import (
    Account,
    Budget,
    BudgetSpentError,
    ExactMatch,
    Exam,
    Examiner,
    ExamProblem,
    Fixed,
    Journal,
    LbTRerank,
    Ledger,
    LMRoles,
    UserError,
)
from lbt_dspy.benchmarks.cli.main import main

pytestmark = pytest.mark.usefixtures("short_waits")
SOLVED = "[[ ## reasoning ## ]]\nso\n\n[[ ## answer ## ]]\n1"
NO = YES.replace("Yes", "No")


def lm_at(url, client="lean"):
    return LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0]


def problems(count):
    return [ExamProblem(example=dspy.Example(text=f"text {i}", label="Yes").with_inputs("text")) for i in range(count)]


def examine(program, lm, ledger, count=4, temperature=0.7, account=None, sittings=3, **options):
    config = {"temperature": temperature}
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger, config=config, **options)
    exam = Exam(material=(), problems=problems(count))
    return examiner.examine([exam], [lm], sittings=sittings, account=account)[0][0]


@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_three_sittings_are_one_request_and_three_replies(client, server, program, tmp_path):
    answers = tmp_path / "a.json"
    answers.write_text(json.dumps([{"contains": "text", "fields": {"label": ["Yes", "No"]}}]))
    with server("--answers", str(answers)) as url:
        account, ledger = Account(), Ledger(Journal(tmp_path / "j"))
        report = examine(program, lm_at(url, client), ledger, count=10, account=account)
        seen = stats(url)
        assert (seen["requests"], seen["completions"]) == (10, 30)
        assert [len(row) for row in report.sittings] == [3] * 10
        assert any(len({s.mark.value for s in row}) == 2 for row in report.sittings)  # choices differ
        assert ledger.journal.sent() == 10 == sum(account.calls.values()) == sum(ledger.journal.calls().values())
        ledger.close()
        resumed, again = Ledger(Journal(tmp_path / "j")), Account()
        assert examine(program, lm_at(url, client), resumed, count=10, account=again) == report
        assert again.calls == account.calls
        assert stats(url)["requests"] == 10
        assert resumed.journal.failed() == 0


def test_costs_of_choices_are_those_of_their_requests(server, program, tmp_path):
    path = tmp_path / "p.yaml"
    with server() as url:
        path.write_text(
            f"model_list: [{{model_name: a, litellm_params: {{model: hosted_vllm/m, api_base: '{url}', max_tokens: 9}},"
            " model_info: {input_cost_per_token: 0.001, output_cost_per_token: 0.002}}]"
        )
        account, ledger = Account(), Ledger()
        examine(program, LMRoles(path).lms(["a"])[0], ledger, count=5, account=account)
        seen = stats(url)
        true_cost = seen["prompt_tokens"] * 0.001 + seen["completion_tokens"] * 0.002
        assert account.cost == pytest.approx(true_cost) == pytest.approx(ledger.journal.charged())
        assert seen["completions"] == 15


def test_temperature_0_and_choices_false_ask_one_by_one(program):
    for options in ({"temperature": 0.0}, {"choices": False}, {"sittings": 1}):
        with recording() as (url, recorder):
            report = examine(program, lm_at(url), Ledger(), **options)
            assert len(recorder.raw) == 4 * options.get("sittings", 3)
            assert all("n" not in body for body in recorder.bodies)
            assert report.coverage == 1.0


def test_of_a_users_own_lm_too(program):
    with recording() as (url, recorder):
        lm = dspy.LM("openai/own", api_base=url, api_key="sk-1234567", temperature=0.9)
        assert examine(program, lm, Ledger()).coverage == 1.0
        assert [body["n"] for body in recorder.bodies] == [3] * 4


@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_only_the_choice_that_was_cut_is_asked_again(client, program):
    def answer(body):
        if body.get("n") == 3:
            return completion(YES, "[[ ## label", NO, finish=["stop", "length", "stop"])
        return completion(YES)

    with recording(answer) as (url, recorder):
        account, ledger = Account(), Ledger(retries=2)
        report = examine(program, lm_at(url, client), ledger, count=1, account=account)
        assert [s.mark.value for s in report.sittings[0]] == [1.0, 1.0, 0.0]
        first, second = recorder.bodies
        assert first["n"] == 3
        assert "n" not in second
        assert second["seed"] != first["seed"]  # that of the second sitting
        assert ledger.journal.sent() == 2 == sum(account.calls.values())


def test_a_choice_that_stays_cut_is_asked_alone_on_resume(program, tmp_path):
    mended = []

    def answer(body):
        if body.get("n", 1) == 3:
            return completion(YES, YES, "[[", finish=["stop", "stop", "length"])
        return completion(YES) if mended else completion("[[", finish="length")

    with recording(answer) as (url, recorder):
        first = Ledger(Journal(tmp_path / "j"), retries=1)
        report = examine(program, lm_at(url), first, count=1)
        assert [s.mark.value for s in report.sittings[0]] == [1.0, 1.0, None]
        first.close()
        mended.append(True)
        second, account = Ledger(Journal(tmp_path / "j"), retries=1), Account()
        assert examine(program, lm_at(url), second, count=1, account=account).coverage == 1.0
        assert [body.get("n", 1) for body in recorder.bodies] == [3, 1, 1]
        assert second.journal.sent() == 3 == sum(account.calls.values()) == sum(second.journal.calls().values())


def test_a_server_that_gives_one_choice_is_asked_with_every_sittings_seed(program):
    with recording(lambda body: completion(YES)) as (url, recorder):
        ledger = Ledger(workers=1)
        assert examine(program, lm_at(url), ledger, count=2).coverage == 1.0
        for i in range(2):
            asked = [body for body in recorder.bodies if f"text {i}" in body["messages"][-1]["content"]]
            assert [body.get("n", 1) for body in asked] == [3, 2, 1]
            assert len({body["seed"] for body in asked}) == 3
        assert ledger.journal.sent() == 6


def test_a_server_that_gives_too_many_choices_does_no_harm(program):
    with recording(lambda body: completion(*[YES] * 7)) as (url, recorder):
        report = examine(program, lm_at(url), Ledger(), count=2)
        assert [len(row) for row in report.sittings] == [3, 3]
        assert len(recorder.raw) == 2


def test_choices_are_told_apart_by_their_index(program):
    """Through LiteLLM they are not: it numbers them as they come, which is as good, since all are drawn alike."""

    def answer(body):
        reply = completion(NO, YES, YES)
        reply["choices"].reverse()
        return reply

    with recording(answer) as (url, _):
        report = examine(program, lm_at(url), Ledger(), count=1)
        assert [s.mark.value for s in report.sittings[0]] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_a_server_that_refuses_choices_is_asked_one_by_one_from_then_on(client, program):
    def answer(body):
        return refusal(400, "only n = 1 is supported") if body.get("n", 1) > 1 else completion(YES)

    with recording(answer) as (url, recorder):
        account, ledger = Account(), Ledger(workers=1)
        lm = lm_at(url, client)
        assert examine(program, lm, ledger, count=3, account=account).coverage == 1.0
        assert [body.get("n", 1) for body in recorder.bodies] == [3, *[1] * 9]
        assert len({body["seed"] for body in recorder.bodies[1:]}) == 3
        assert ledger.journal.sent() == 10 == sum(account.calls.values())


def test_what_fails_with_all_its_choices_is_retried_then_lost_as_one(program):
    with recording(lambda body: refusal(500)) as (url, recorder):
        account, ledger = Account(), Ledger(retries=2)
        report = examine(program, lm_at(url), ledger, count=2, account=account)
        assert (report.coverage, account.failed) == (0.0, 6)
        assert len(recorder.raw) == 6 == ledger.journal.sent() == sum(account.calls.values())


def test_the_budget_counts_requests(program):
    with recording() as (url, recorder):
        ledger = Ledger(budget=Budget(max_calls=4))
        assert examine(program, lm_at(url), ledger, count=4).coverage == 1.0
        with pytest.raises(BudgetSpentError, match="the budget of 4 calls is spent"):
            examine(program, lm_at(url), ledger, count=5)
        ledger.finish()
        assert len(recorder.raw) == 4


def rerank(students, **options):
    bank = [example.example for example in problems(3)]
    return LbTRerank(exam_students=students, exam=Fixed(bank), rationales=2, sittings=2, **options)


def test_reranking_asks_choices_only_where_the_whole_exam_is_held():
    with pytest.raises(UserError, match="choices is for the schedule full but got 'lossless'; leave it out"):
        rerank([], schedule="lossless", choices=True).compile(dspy.ChainOfThought("question -> answer"))
    solver = dspy.ChainOfThought("question -> answer")
    solver.set_lm(teacher({ASK[0]: ["right", "wrong"]}))
    bank = [dspy.Example(question=f"Q{i}?", answer="1").with_inputs("question") for i in range(3)]
    with recording(lambda body: completion(*[SOLVED] * body.get("n", 1))) as (url, recorder):
        for choices, requests in ((True, 6), (False, 12)):
            before = len(recorder.raw)
            LbTRerank(
                exam_students=[lm_at(url)], exam=Fixed(bank), rationales=2, sittings=2, schedule="full",
                choices=choices, temperature=0.7,
            ).compile(solver)(question=ASK[0])  # fmt: skip
            assert len(recorder.raw) - before == requests


def test_the_command_says_the_same(capsys):
    line = ["--task", "math", "--data", ".", "--teacher", "hosted_vllm/m@http://127.0.0.1:9/v1", "--choices"]
    assert main([*line, "--schedule", "lossless"]) == 2
    out, err = capsys.readouterr()
    assert "--choices is for --schedule full but got lossless; leave it out" in err
    assert (out, err.count("\n")) == ("", 1)
