"""The same bytes mean the same through either client: an answer, its reason, its price; or a fault."""

import json
import os

import dspy
import pytest
from conftest import slow, stats
from hypothesis import given, settings
from recording_server import YES, completion, recording
from reply_bodies import NO, bodies, body, outcome, sent

from lbt_dspy import Account, Budget, BudgetSpentError, ExactMatch, Exam, Examiner, ExamProblem, Ledger, LMRoles

pytestmark = [
    pytest.mark.usefixtures("short_waits"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),  # of OpenAI's types, as in setup.py
]
CLIENTS = ["lean", "litellm"]
PROVIDERS = ["hosted_vllm", "openai"]
GENERATED = int(os.environ.get("LBT_REPLY_BODIES", "50"))
"""Bodies that are made up; `LBT_REPLY_BODIES=10000` for a night."""
PRICES = "{input_cost_per_token: 0.001, output_cost_per_token: 0.002}"


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-tests-123456")
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", "for-tests-123456")


def priced(url, folder, client, provider="hosted_vllm"):
    """A model of known price."""
    path = folder / f"{client}-{provider}.yaml"
    params = f"{{model: {provider}/m, api_base: '{url}', api_key: sk-for-tests-123456, max_tokens: 100}}"
    path.write_text(f"model_list: [{{model_name: a, litellm_params: {params}, model_info: {PRICES}}}]")
    return LMRoles(path, client=client).lms(["a"])[0]


def marked(program, lm, ledger, count=1, account=None):
    problems = [ExamProblem(example=dspy.Example(text=f"t{i}", label="Yes").with_inputs("text")) for i in range(count)]
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
    report = examiner.examine([Exam(material=(), problems=problems)], [lm], account=account)[0][0]
    return [row[0].mark for row in report.sittings]


THOUGHT = f"<think>\n{NO}\n</think>\n\n"
ALL_THOUGHTS = "empty answer: it never left its thoughts"
TOOL = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": NO}]}
LOGPROBS = {"content": [{"token": "Yes", "logprob": None, "top_logprobs": None}]}
REPLIES = {  # what is sent: (mark, how its reason begins)
    "an answer": (body(), 1.0, None),
    "a wrong answer": (body(NO), 0.0, None),
    "no finish reason": (body(finish=None), 1.0, None),
    "another name for stop": (body(finish="EOS_TOKEN"), 1.0, None),
    "a name that nobody knows": (body(finish="feierabend"), 1.0, None),
    "a name that nobody knows, and nothing": (
        body("", finish="feierabend"),
        None,
        "server error: it ended with 'feier",
    ),
    "half a text": (body(YES[:30], finish="max_tokens"), None, "output cut"),
    "half a text, of another name": (body(YES[:30], finish="MODEL-LENGTH"), None, "output cut"),
    "a mapping for a reason": (body(finish={"type": "length", "length": 9}), None, "output cut"),
    "a filter": (body("", finish="SAFETY"), None, "content filter"),
    "a filter, of a text": (body(finish="guardrail_intervened"), None, "content filter"),
    "an error": (
        body("", finish="error", error={"message": "Provider error", "code": 502}),
        None,
        "server error: Prov",
    ),
    "an error beside a text": (body(error="overloaded"), None, "server error: overloaded"),
    "an error with a text": (body(finish="network_error"), None, "server error: it ended with 'network_error'"),
    "an empty error": (body(error={"message": "", "code": None}), 1.0, None),
    "an error of the whole": ({"error": {"message": "upstream", "code": 503}}, None, "server error: upstream"),
    "an error beside choices": ({**body(), "error": {"message": "late", "code": 500}}, None, "server error: late"),
    "an error without an envelope": ({"object": "error", "message": "busy", "code": 50001}, None, "server error: busy"),
    "an empty error of the whole": ({**body(), "error": {"message": "", "code": None}}, 1.0, None),
    "nothing": (body(None), 0.0, "empty answer"),
    "blanks": (body(" \n"), 0.0, "empty answer"),
    "thoughts alone": (body(None, message={"reasoning_content": YES}), 0.0, ALL_THOUGHTS),
    "thoughts alone, by another name": (body("", message={"reasoning": YES}), 0.0, ALL_THOUGHTS),
    "thoughts that were cut": (body(None, "length", message={"reasoning_content": YES}), None, "output cut"),
    "thoughts apart": (body(message={"reasoning_content": NO}), 1.0, None),
    "thoughts in the text": (body(THOUGHT + YES), 1.0, None),
    "thoughts with no beginning": (body(f"Maybe\n{NO}\nor not.\n</think>\n\n{YES}"), 1.0, None),
    "thoughts with no end": (body(f"<think>\nMaybe\n{YES}\nbut wait"), 0.0, ALL_THOUGHTS),
    "thoughts twice": (body(THOUGHT + THOUGHT + YES), 1.0, None),
    "thoughts apart and in the text": (body(THOUGHT + YES, message={"reasoning_content": NO}), 1.0, None),
    "thoughts by the name of thinking": (body(f"<thinking>{NO}</thinking>{YES}"), 1.0, None),
    "a tool": (body(None, "tool_calls", message=TOOL), 0.0, "empty answer: it called a tool"),
    "a tool and a text": (body(YES, "tool_calls", message=TOOL), 1.0, None),
    "a refusal": (body(None, message={"refusal": "I can't."}), 0.0, "empty answer: the model refused: I can't."),
    "a refusal as a part": (body([{"type": "refusal", "refusal": "No."}]), 0.0, "empty answer: the model refused: No."),
    "parts": (body([{"type": "text", "text": YES}]), 1.0, None),
    "parts of a text": (body([YES[:9], {"type": "output_text", "text": YES[9:]}]), 1.0, None),
    "thoughts and text as parts": (body([THINKING, {"type": "text", "text": YES}]), 1.0, None),
    "thoughts as the only part": (body([THINKING]), 0.0, ALL_THOUGHTS),
    "one part and no list": (body({"type": "text", "text": YES}), 1.0, None),
    "no parts": (body([]), 0.0, "empty answer"),
    "a number": (body(7), None, "malformed reply: no chat completion"),
    "no choices": ({**body(), "choices": []}, None, "malformed reply: no chat completion"),
    "choices that are null": ({**body(), "choices": None}, None, "malformed reply: no chat completion"),
    "a completion of the older kind": ({"choices": [{"text": YES, "index": 0, "finish_reason": "stop"}]}, 1.0, None),
    "odd log-probabilities": (body(logprobs=LOGPROBS), 1.0, None),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(body()).encode(), 1.0, None),
    "empty lines first": (b"\n\n  " + json.dumps(body()).encode() + b"\n", 1.0, None),
    "no number": (json.dumps(body()).replace('"created": 1', '"created": NaN').encode(), 1.0, None),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", REPLIES)
def test_the_same_mark_for_the_same_bytes(name, provider, program, tmp_path):
    reply, mark, reason = REPLIES[name]
    seen = []
    with recording(lambda request: sent(reply)) as (url, recorder):
        for client in CLIENTS:
            account = Account()
            (given,) = marked(program, priced(url, tmp_path, client, provider), Ledger(retries=1), account=account)
            seen.append((given, account.cost, len(recorder.raw)))
            recorder.raw.clear()
    lean, litellm = seen
    assert lean[0].value == mark
    assert (lean[0].reason or "").startswith(reason or "")
    assert (lean[0].reason is None) == (reason is None)
    assert lean == litellm
    assert lean[2] == (2 if mark is None else 1)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206])
def test_any_status_of_success(status, client, program, tmp_path):
    with recording(lambda request: sent(body(), status=status, content_type="text/plain")) as (url, recorder):
        (mark,) = marked(program, priced(url, tmp_path, client), Ledger())
        assert (mark.value, len(recorder.raw)) == (1.0, 1)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A server that sends what `answer` says, and a model there through either client, for either provider."""
    folder = tmp_path_factory.mktemp("both")
    with recording() as (url, recorder):
        yield recorder, [[priced(url, folder, client, provider) for client in CLIENTS] for provider in PROVIDERS]


@settings(max_examples=GENERATED)
@given(bodies)
def test_both_clients_make_the_same_of_any_body(both, reply):
    recorder, models = both
    recorder.answer = lambda request: sent(reply)
    lean, *others = [outcome(lm) for lm in (models[0][0], *(litellm for _, litellm in models))]
    assert others == [lean, lean]
    recorder.raw.clear()


OPTIONS = ["--rate-limit", "--malformed"]
OTHERS = ["--server-error", "--disconnect", "--empty", "--truncated", "--auth-key", "--fail-first"]


@pytest.mark.parametrize("option", [*OPTIONS, *slow(*OTHERS)])
def test_the_same_marks_under_each_fault_of_the_server(option, server, program):
    seen = []
    for client in CLIENTS:
        value = {"--auth-key": "another", "--fail-first": "2"}.get(option, "1")
        with server(option, value) as url:
            lm = LMRoles(client=client).lms([f"hosted_vllm/tiny@{url}"])[0]
            marks = marked(program, lm, Ledger(workers=1, retries=1), count=2)
            seen.append(([mark.value for mark in marks], stats(url)["requests"]))
    assert seen[0] == seen[1]


USAGES = {
    "null": None,
    "none": {},
    "zeros": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "null fields": {"prompt_tokens": None, "completion_tokens": None},
    "no output tokens for a text": {"prompt_tokens": 9, "completion_tokens": 0},
    "no prompt tokens": {"prompt_tokens": 0, "completion_tokens": 9},
    "a missing part": {"prompt_tokens": 9},
    "less than nothing": {"prompt_tokens": -9, "completion_tokens": -9},
    "digits in quotes": {"prompt_tokens": "9", "completion_tokens": "9"},
    "words": {"prompt_tokens": "few", "completion_tokens": "many"},
    "more cached than there is": {
        "prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5000},
    },
    "a text": "none",
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", USAGES)
def test_what_is_not_said_counts_at_its_worst_case_and_the_gate_closes(name, client, program, tmp_path):
    with recording(lambda request: sent(body(usage=USAGES[name]))) as (url, recorder):
        lm = priced(url, tmp_path, client)
        ledger = Ledger(budget=Budget(max_cost=2.0), workers=1)
        with pytest.raises(BudgetSpentError):
            marked(program, lm, ledger, count=8)
        assert 0 < len(recorder.raw) < 5
        assert 1.0 < ledger.journal.charged() <= 2.0


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (completion(YES)["usage"], (7, 1)),
        ({"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 108}, (7, 101)),  # thoughts are only in the total
        ({"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 7}}, (7, 1)),
    ],
)
def test_what_is_said_is_what_it_costs(usage, tokens, client, program, tmp_path):
    account = Account()
    with recording(lambda request: sent(body(usage=usage))) as (url, _):
        marked(program, priced(url, tmp_path, client), Ledger(), account=account)
    assert account.cost == pytest.approx(tokens[0] * 0.001 + tokens[1] * 0.002)
