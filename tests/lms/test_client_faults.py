"""What each fault of a server means, through either client: retried or not, counted, `None` or 0, and no key told."""

import asyncio
import datetime
import socket
from email.utils import format_datetime

import dspy
import pytest
from aiohttp import web
from recording_server import YES, completion, recording, refusal

from lbt_dspy import Account, ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger, LMRoles, UserError
from lbt_dspy.errors import ModelRejectedError
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.lms.faults import MAX_REASON, fault_of
from lbt_dspy.lms.user_lm import engine_of

pytestmark = pytest.mark.usefixtures("short_waits")
CLIENTS = ["lean", "litellm"]
KEY = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", KEY)


def lm_at(url, client="lean", **sampling):
    return LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0].copy(**sampling)


def problems(count):
    return [ExamProblem(example=dspy.Example(text=f"t{i}", label="Yes").with_inputs("text")) for i in range(count)]


def examine(program, lm, ledger, count=4, **options):
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
    return examiner.examine([Exam(material=(), problems=problems(count))], [lm], **options)[0][0]


def later(seconds):
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return format_datetime(when, usegmt=True)


def vllm_error(status, message, kind="BadRequestError"):
    """An error as vLLM wrote it before version 0.10: without an envelope."""
    return web.json_response({"object": "error", "message": message, "type": kind, "code": status}, status=status)


def page(status, text="<html>Sign in first</html>"):
    return web.Response(status=status, text=text, content_type="text/html")


LONG = "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens in the messages."
TOO_LONG = {"kind": "context", "retry": False, "rejected": False}
REFUSED = {"kind": "other", "retry": False, "rejected": True, "billed": False}
AGAIN = {"kind": "other", "retry": True, "rejected": False, "billed": True}
FAULTS = {
    "a wrong key": (lambda: refusal(401, f"Incorrect API key provided: {KEY}", "invalid_api_key"), REFUSED),
    "no right": (lambda: refusal(403, "no"), REFUSED),
    "an unknown model": (lambda: refusal(404, "The model `x` does not exist", "model_not_found"), REFUSED),
    "an unknown model of vLLM": (lambda: vllm_error(404, "The model `x` does not exist.", "NotFoundError"), REFUSED),
    "a wrong path": (lambda: web.json_response({"detail": "Not Found"}, status=404), REFUSED),
    "a wrong setting": (lambda: refusal(400, "temperature must be at most 2"), REFUSED),
    "too long for OpenAI": (lambda: refusal(400, LONG, "context_length_exceeded"), TOO_LONG),
    "too long for vLLM": (lambda: vllm_error(400, LONG), TOO_LONG),
    "too long for another vLLM": (
        lambda: refusal(400, "The prompt (length 5000) is longer than the maximum model length of 2048.", 400),
        TOO_LONG,
    ),
    "too long for llama.cpp": (
        lambda: refusal(400, "request (5000 tokens) exceeds the available context size (4096 tokens)", 400),
        TOO_LONG,
    ),
    "too long for SGLang": (
        lambda: vllm_error(400, "The input (50 tokens) is longer than the model's context length (40 tokens)."),
        TOO_LONG,
    ),
    "too long for a proxy": (lambda: page(413, "Request Entity Too Large"), TOO_LONG),
    "a filtered prompt": (
        lambda: refusal(400, "The response was filtered by the content management policy", "content_filter"),
        {"kind": "content", "retry": True, "rejected": False},
    ),
    "a rate limit": (
        lambda: refusal(429, "slow down", headers={"Retry-After": "7"}),
        {**AGAIN, "billed": False, "wait": 7.0},
    ),
    "a rate limit until a time": (
        lambda: refusal(429, "slow down", headers={"Retry-After": later(30)}),
        {**AGAIN, "billed": False, "wait": pytest.approx(30, abs=5)},
    ),
    "a rate limit until a time that is past": (
        lambda: refusal(429, "slow down", headers={"Retry-After": later(-30)}),
        {**AGAIN, "billed": False, "wait": 0.0},
    ),
    "a server error": (lambda: refusal(500, "oops"), AGAIN),
    "a server that is down": (lambda: page(503), AGAIN),
    "broken JSON": (lambda: web.Response(text='{"choices": [{"mess', content_type="application/json"), AGAIN),
    "endless JSON": (lambda: web.Response(text="[" * 100_000, content_type="application/json"), AGAIN),
    "JSON that is no object": (lambda: web.json_response([1]), AGAIN),
    "JSON that is a text": (lambda: web.json_response("hello"), AGAIN),
    "no choices": (lambda: {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}, AGAIN),
    "an error with status 200": (lambda: {"error": {"message": "upstream", "code": 502}}, AGAIN),
    "an empty list of choices": (lambda: completion(), AGAIN),
    "no message": (lambda: {"choices": [{"index": 0, "finish_reason": "stop"}]}, AGAIN),
    "a content that is a number": (lambda: completion(7), AGAIN),
    "a content that is a list of numbers": (lambda: completion([7]), AGAIN),
    "a page with status 200": (lambda: page(200), AGAIN),
    "nothing with status 200": (lambda: web.Response(text=""), AGAIN),
    "a body that ends too soon": (lambda: None, AGAIN),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", FAULTS)
def test_what_a_fault_means(name, client):
    make, wanted = FAULTS[name]
    with recording(lambda body: make()) as (url, _):
        engine = engine_of(lm_at(url, client))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - of either client's classes
            engine.answer(dspy.lm15.Request(model="m", messages=(dspy.lm15.Message.user("x"),)))
    fault = fault_of(caught.value, engine.secrets)
    assert {name: getattr(fault, name) for name in wanted} == wanted
    assert KEY not in fault.reason
    assert "Traceback" not in fault.reason
    assert "\n" not in fault.reason
    assert len(fault.reason) < MAX_REASON + 30


def test_the_reason_says_what_the_server_said():
    said = {
        "too long for vLLM": "prompt too long: This model's maximum context length is 2048 tokens.",
        "an unknown model of vLLM": "unknown model: The model `x` does not exist.",
        "a wrong path": "Not Found",
        "a server that is down": "server error: <html>Sign in first</html>",
        "a page with status 200": "no JSON: b'<html>Sign in first",
    }
    for name, text in said.items():
        with recording(lambda body, name=name: FAULTS[name][0]()) as (url, _):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                engine_of(lm_at(url)).answer(dspy.lm15.Request(model="m", messages=(dspy.lm15.Message.user("x"),)))
        assert text in fault_of(caught.value).reason


@pytest.mark.parametrize("client", CLIENTS)
def test_a_prompt_that_is_too_long_is_not_measured_and_the_others_go_on(client, program):
    """Three refusals in a row would stop a run; a long prompt is no refusal."""

    def answer(body):
        return vllm_error(400, LONG) if "t0" not in body["messages"][-1]["content"] else completion(YES)

    with recording(answer) as (url, recorder):
        ledger = Ledger(workers=1, retries=3)
        report = examine(program, lm_at(url, client), ledger, count=6)
        assert [row[0].mark.value for row in report.sittings] == [1.0, *[None] * 5]
        assert all("prompt too long" in row[0].mark.reason for row in report.sittings[1:])
        assert len(recorder.raw) == 6 == ledger.journal.sent()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refused_key_ends_the_run_and_is_told_nowhere(client, program, tmp_path):
    with recording(lambda body: refusal(401, f"Incorrect API key provided: {KEY}")) as (url, _):
        ledger = Ledger(Journal(tmp_path / "j"), workers=1)
        with pytest.raises(ModelRejectedError) as caught:
            examine(program, lm_at(url, client), ledger)
        ledger.close()
    assert KEY not in str(caught.value)
    assert KEY.encode() not in (tmp_path / "j").read_bytes()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("finish", "says"), [("length", "token limit"), ("content_filter", "content filter")])
def test_an_answer_that_was_cut_or_filtered_is_asked_again_then_not_measured(finish, says, client, program):
    with recording(lambda body: completion(YES, finish=finish)) as (url, recorder):
        account, ledger = Account(), Ledger(retries=2)
        report = examine(program, lm_at(url, client), ledger, count=1, account=account)
        assert report.sittings[0][0].mark.value is None
        assert says in report.sittings[0][0].mark.reason
        assert len(recorder.raw) == 3 == ledger.journal.sent() == sum(account.calls.values())


@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_without_text_is_measured_and_wrong(client, program):
    with recording(lambda body: completion(None)) as (url, recorder):
        report = examine(program, lm_at(url, client), Ledger(), count=1)
        assert (report.score, report.coverage, len(recorder.raw)) == (0.0, 1.0, 1)
        assert report.sittings[0][0].mark.reason == "empty answer"


def test_half_a_character_in_an_answer_is_journalled_as_what_it_is_used_as(program, tmp_path):
    """A broken tokenizer's half of an emoji: files hold no lone surrogates."""
    text = '{"choices": [{"message": {"content": "[[ ## label ## ]]\\nYes \\ud83d"}}]}'
    reports = []
    with recording(lambda body: web.Response(text=text, content_type="application/json")) as (url, recorder):
        for _ in range(2):
            ledger = Ledger(Journal(tmp_path / "j"))
            reports.append(examine(program, lm_at(url), ledger, count=1))
            ledger.close()
        assert len(recorder.raw) == 1
    assert reports[0] == reports[1]
    assert reports[0].coverage == 1.0


def test_what_is_asked_without_telling_its_tokens_is_charged_at_its_worst_case(program, tmp_path):
    path = tmp_path / "p.yaml"
    reply = {"choices": [{"message": {"content": YES}, "finish_reason": "stop"}]}
    with recording(lambda body: reply) as (url, _):
        path.write_text(
            f"model_list: [{{model_name: a, litellm_params: {{model: hosted_vllm/m, api_base: '{url}', max_tokens: 9}},"
            " model_info: {input_cost_per_token: 0.001, output_cost_per_token: 0.002}}]"
        )
        account, ledger = Account(), Ledger()
        examine(program, LMRoles(path, client="lean").lms(["a"])[0], ledger, count=1, account=account)
    assert account.cost is None
    assert ledger.journal.charged() > 9 * 0.002


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_is_not_there(client, program):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        report = examine(
            program, lm_at(f"http://127.0.0.1:{closed.getsockname()[1]}/v1", client), Ledger(retries=1), count=2
        )
    assert [row[0].mark.value for row in report.sittings] == [None, None]
    assert all("connect" in row[0].mark.reason for row in report.sittings)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_reply_that_is_slower_than_the_timeout_is_asked_once_more(client, program, tmp_path):
    path = tmp_path / "c.yaml"

    async def never(body):
        await asyncio.Event().wait()

    with recording(never) as (url, recorder):
        path.write_text(
            "model_list:\n- model_name: a\n"
            f"  litellm_params: {{model: hosted_vllm/m, api_base: '{url}', timeout: 0.2}}\n"
        )
        report = examine(program, LMRoles(path, client=client).lms(["a"])[0], Ledger(retries=5), count=1)
        assert report.sittings[0][0].mark.value is None
        assert report.sittings[0][0].mark.reason.startswith("timeout")
        assert len(recorder.raw) == 2


def test_a_model_that_scores_no_texts_says_so():
    engine = engine_of(dspy.LM("openai/m", api_base="http://127.0.0.1:9/v1", api_key="sk-1234567"))
    with pytest.raises(UserError, match="does not say how likely a given text is"):
        EventLoop.run(engine.ask_score(dspy.lm15.Request(model="m", messages=(dspy.lm15.Message.user("x"),))))
