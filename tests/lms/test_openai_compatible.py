"""The lean client beside LiteLLM: the same requests, the same keys; who goes through which; plain DSPy."""

import asyncio

import dspy
import httpx
import pytest
from dspy.lm15 import Message, TextPart, request_from_openai_chat
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_server import always_yes, recording

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger, LMRoles, UserError
from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.lms.litellm.router import RouterEngine
from lbt_dspy.lms.openai.client import OpenAICompatible
from lbt_dspy.lms.user_lm import UserEngine, engine_of

CLIENTS = ["lean", "litellm"]


@pytest.fixture(scope="module")
def recorded():
    with recording() as (url, recorder):
        yield url, recorder


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-tests-123456")


def engine(name, client="lean"):
    return engine_of(LMRoles(client=client).lms([name])[0])


def chat(*texts, system=None, **options):
    roles = ["user", "assistant"] * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    head = [] if system is None else [{"role": "system", "content": system}]
    return request_from_openai_chat({"model": "m", "messages": [*head, *messages], **options})


SETTINGS = [
    {},
    {"seed": 3},
    {"temperature": 0.0},
    {"temperature": 0.7, "seed": 2**31},
    {"max_tokens": 33},
    {"top_p": 0.9},
    {"top_k": 20},
    {"stop": ["END", "\n\n"]},
    {"stop": "END"},
    {"logprobs": True, "top_logprobs": 5},
    {"frequency_penalty": 0.5, "presence_penalty": -1.0},
    {"response_format": {"type": "json_object"}},
    {"logit_bias": {"5": 1}},
]


@pytest.mark.parametrize("provider", ["hosted_vllm", "openai"])
@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_either_client_sends_the_same(provider, options, recorded):
    url, recorder = recorded
    for client in CLIENTS:
        answer = engine(f"{provider}/m@{url}", client).answer(chat("a", "b", "c", system="s", **options))
        assert answer.text
    lean, litellm = recorder.bodies[-2:]
    # LiteLLM says that vLLM is not to stream, which is what a server does anyway.
    assert litellm.pop("stream", False) is False
    # LiteLLM calls the limit max_completion_tokens: older servers know only max_tokens, and all know that.
    if "max_completion_tokens" in litellm:
        litellm["max_tokens"] = litellm.pop("max_completion_tokens")
    assert lean == litellm
    assert lean["model"] == "m"
    assert options.items() <= {**lean, **({"stop": "END"} if options.get("stop") == "END" else {})}.items()


def test_the_limit_of_a_reasoning_model_has_the_name_that_openai_takes(recorded):
    url, recorder = recorded
    for client in CLIENTS:
        engine(f"openai/gpt-5-mini@{url}", client).answer(chat("a", max_tokens=50))
    lean, litellm = recorder.bodies[-2:]
    assert lean == litellm
    assert lean["max_completion_tokens"] == 50


def test_several_choices_are_asked_for_the_same_way(recorded):
    url, recorder = recorded
    for client in CLIENTS:
        asked = engine(f"hosted_vllm/m@{url}", client)
        answers = EventLoop.run(asked.ask(chat("a", temperature=0.7), (), 3))
        assert [answer.output_tokens for answer in answers] == [3, 0, 0]  # the first one bears those of all
        assert [answer.input_tokens for answer in answers] == [7, 0, 0]
    assert [body["n"] for body in recorder.bodies[-2:]] == [3, 3]
    engine(f"hosted_vllm/m@{url}").answer(chat("a"))
    assert "n" not in recorder.bodies[-1]


TEXTS = st.text(st.characters(), max_size=30) | st.sampled_from(['"', "\\", "\n\0\x1f", "\ud800", "😀\ud83d", "]}", ""])


@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=5).filter(lambda texts: len(texts) % 2), TEXTS.filter(bool), TEXTS)
def test_any_text_is_sent_as_it_is(recorded, texts, system, other):
    """Also the second question after the same messages, whose JSON was written before."""
    url, recorder = recorded
    asked = engine(f"hosted_vllm/m@{url}")
    request = chat(*texts, system=system)
    again = type(request)(
        model="m", system=request.system, config=request.config, messages=(*request.messages[:-1], Message.user(other))
    )
    for sent, last in ((request, texts[-1]), (again, other)):
        asked.answer(sent)
        messages = recorder.bodies[-1]["messages"]
        assert [m["content"] for m in messages] == [system, *texts[:-1], last]
        assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 3][: len(messages)]


def test_a_picture_after_a_text_with_the_same_messages_before_is_sent(recorded):
    url, recorder = recorded
    asked = engine(f"hosted_vllm/m@{url}")
    request = chat("a", "b", "c")
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    shown = request_from_openai_chat(
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, picture]}]}
    ).messages
    for messages in ((*request.messages[:-1], *shown), request.messages, (*request.messages[:-1], *shown)):
        asked.answer(type(request)(model="m", config=request.config, messages=messages))
    first, text, last = (body["messages"][-1]["content"] for body in recorder.bodies[-3:])
    assert text == "c"
    assert first == last
    assert [part["type"] for part in last] == ["text", "image_url"]


def test_a_message_of_two_texts_is_sent_as_two_whatever_was_sent_before(recorded):
    url, recorder = recorded
    asked = engine(f"hosted_vllm/m@{url}")
    request = chat("a", "b", "c")
    two = Message.user([TextPart("c"), TextPart("d")])
    for last in (request.messages[-1], two, request.messages[-1]):
        asked.answer(type(request)(model="m", config=request.config, messages=(*request.messages[:-1], last)))
    first, second, third = (body["messages"][-1]["content"] for body in recorder.bodies[-3:])
    assert first == third == "c"
    assert [part["text"] for part in second] == ["c", "d"]


def test_headers_and_bodies_of_a_yaml_are_sent(recorded, tmp_path):
    url, recorder = recorded
    path = tmp_path / "c.yaml"
    path.write_text(
        f"model_list: [{{model_name: a, litellm_params: {{model: hosted_vllm/org/m, api_base: '{url}/', timeout: 9,\n"
        "  api_key: sk-own-1234567, extra_headers: {X-Team: blue}, extra_body: {min_p: 0.1, guided: {x: [1]}}}}]"
    )
    found = engine_of(LMRoles(path, client="lean").lms(["a"])[0])
    found.answer(chat("hello", seed=1))
    assert recorder.headers[-1]["Authorization"] == "Bearer sk-own-1234567"
    assert recorder.headers[-1]["X-Team"] == "blue"
    body = recorder.bodies[-1]
    assert (body["model"], body["min_p"], body["guided"], body["seed"]) == ("org/m", 0.1, {"x": [1]}, 1)


@pytest.mark.parametrize(("first", "second"), [CLIENTS, CLIENTS[::-1]])
def test_a_run_of_one_client_is_resumed_by_the_other_and_asks_nothing(first, second, program, tmp_path):
    problems = [ExamProblem(example=dspy.Example(text=f"t{i}", label="Yes").with_inputs("text")) for i in range(6)]
    reports = []
    with recording() as (url, recorder):
        for client in (first, second):
            ledger = Ledger(Journal(tmp_path / "j"))
            examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger, config={"temperature": 0.7})
            lm = LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0]
            reports.append(examiner.examine([Exam(material=(), problems=problems)], [lm], sittings=3))
            ledger.close()
            assert len(recorder.raw) == 6
    assert reports[0] == reports[1]
    assert reports[0][0][0].coverage == 1.0


ROUTED = [
    ("model: hosted_vllm/m, api_base: 'http://h/v1'", "", None),
    ("model: openai/m, api_base: 'http://h/v1', timeout: 5, extra_body: {a: 1}", "", None),
    ("model: openai/m, base_url: 'http://h/v1'", "", None),
    ("model: openai/gpt-4o-mini", "", "it has no address"),
    ("model: anthropic/claude, api_key: sk-1234567", "", "its provider is anthropic"),
    ("model: ollama/m, api_base: 'http://h'", "", "its provider is ollama"),
    ("model: hosted_vllm/m, api_base: 'http://h/v1', rpm: 5", "", "its setting rpm is LiteLLM's"),
    ("model: openai/m, api_base: 'http://h/v1', organization: o", "", "its setting organization is LiteLLM's"),
    ("model: hosted_vllm/m, api_base: 'http://h/v1', timeout: .inf", "", "its timeout is no number of seconds"),
    (
        "model: hosted_vllm/m, api_base: 'http://h/v1'",
        "router_settings: {routing_strategy: latency-based-routing}",
        "the setting routing_strategy is LiteLLM's",
    ),
    ("model: hosted_vllm/m, api_base: 'http://h/v1'", "router_settings: {fallbacks: [{a: [b]}]}", "it has fallbacks"),
    ("model: hosted_vllm/m, api_base: 'http://h/v1'", "router_settings: {fallbacks: [{b: [a]}]}", None),
    ("model: hosted_vllm/m, api_base: 'http://h/v1'", "litellm_settings: {num_retries: 9}", None),
]


@pytest.mark.parametrize(("params", "more", "why"), ROUTED)
def test_what_goes_through_which_client(params, more, why, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"model_list:\n- {{model_name: a, litellm_params: {{{params}}}}}\n"
        f"- {{model_name: b, litellm_params: {{model: hosted_vllm/b, api_base: 'http://h/v1'}}}}\n{more}"
    )
    lean = why is None
    if "timeout: soon" not in params:  # which LiteLLM refuses as well
        assert isinstance(engine_of(LMRoles(path).lms(["a"])[0]), OpenAICompatible if lean else RouterEngine)
        assert isinstance(engine_of(LMRoles(path, client="litellm").lms(["a"])[0]), RouterEngine)
    if lean:
        assert isinstance(engine_of(LMRoles(path, client="lean").lms(["a"])[0]), OpenAICompatible)
    else:
        with pytest.raises(UserError, match=f"client lean cannot ask a: {why}; leave it out"):
            LMRoles(path, client="lean").lms(["a"])


class OwnLM(dspy.LM):
    """A user's own class, whose calls may do anything."""


HERE = {"api_base": "http://h/v1", "api_key": "sk-1234567"}
OWN = [
    (lambda: dspy.LM("openai/m", **HERE), True),
    (lambda: dspy.LM("hosted_vllm/m", api_base="http://h/v1"), True),
    (lambda: dspy.LM("openai/m", **HERE, timeout=3.5, temperature=0.3, max_tokens=5), True),
    (lambda: dspy.LM("openai/m", **HERE, engine="litellm"), False),
    (lambda: dspy.LM("openai/m", **HERE, model_type="text"), False),
    (lambda: dspy.LM("openai/m", **HERE, organization="o"), False),
    (lambda: dspy.LM("openai/m", **HERE, timeout=httpx.Timeout(5)), False),
    (lambda: dspy.LM("openai/m"), False),
    (lambda: dspy.LM("anthropic/m", **HERE), False),
    (lambda: OwnLM("openai/m", **HERE), False),
]


@pytest.mark.parametrize(("make", "lean"), OWN)
def test_which_lms_of_a_users_own_go_through_the_lean_client(make, lean):
    lm = make()
    assert isinstance(engine_of(lm), OpenAICompatible if lean else UserEngine)
    assert engine_of(lm) is engine_of(lm)


def test_a_key_of_the_environment_is_a_secret_of_a_users_own_lm(monkeypatch):
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", "correct horse battery")
    assert "correct horse battery" in engine_of(dspy.LM("hosted_vllm/m", api_base="http://h/v1")).secrets


def test_a_client_that_cannot_is_one_line_and_exit_code_2(capsys):
    lines = [
        ("lean --teacher openai/gpt-4o-mini", "--client lean cannot ask openai/gpt-4o-mini: it has no address"),
        ("leen --teacher embedded/teacher", "--client must be one of auto, lean, litellm but got 'leen'"),
    ]
    for words, says in lines:
        assert main(["--task", "fallacy", "--client", *words.split()]) == 2
        out, err = capsys.readouterr()
        assert says in err
        assert (out, err.count("\n")) == ("", 1)


def test_plain_dspy_uses_a_lean_lm(recorded, program, examples):
    url, recorder = recorded
    (lm,) = LMRoles(client="lean").lms([f"hosted_vllm/m@{url}"])
    before = len(recorder.raw)

    async def many():
        return await asyncio.gather(*[program.acall(text=f"text {i}") for i in range(50)])

    with dspy.context(lm=lm):
        assert program(text="good").label == "Yes"
        evaluate = dspy.Evaluate(devset=examples, metric=lambda e, p, trace=None: e.label == p.label, num_threads=8)
        assert evaluate(program).score == 50.0
        assert [p.label for p in asyncio.run(many())] == ["Yes"] * 50
        assert len(recorder.raw) - before == 1 + len(examples) + 50
    recorder.answer = lambda body: {"error": {}}
    try:
        with dspy.context(lm=lm), pytest.raises(Exception, match="no chat completion"):
            program(text="bad")
    finally:
        recorder.answer = always_yes
