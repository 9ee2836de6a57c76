"""What the library takes from the inside of DSPy and LiteLLM still does what it is taken for; a row per name."""

import ast
import contextlib
import functools
import importlib.metadata
import importlib.util
import inspect
import logging
import re
from pathlib import Path

import dspy
import pydantic
import pytest
from aiohttp import web
from dspy import lm15
from recording_server import YES, completion, recording, refusal

from lbt_dspy import classification, dspy_private
from lbt_dspy.exam.students import ExamStudents
from lbt_dspy.lms.config import Deployment, LMConfig
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.lms.litellm import private as litellm_private
from lbt_dspy.lms.litellm.router import make_router, with_id
from lbt_dspy.lms.litellm.setup import litellm

ROOT = Path(__file__).parent.parent
CHECKS = {}


def name(package, *names):
    """Say which names a check is about."""

    def note(check):
        CHECKS[", ".join(names)] = (package, check)
        return check

    return note


# DSPy


@name("dspy", "dspy.clients.lm15_boundary.request_kwargs")
def chat_body():
    asked = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "temperature": 0.5}
    body = dspy_private.chat_body(lm15.request_from_openai_chat({"model": "m", "stop": ["x"], "seed": 3, **asked}))
    assert "model" not in body
    assert body == body | {**asked, "stop": ["x"], "seed": 3}


@name("dspy", "dspy.lm15.Request's fields")
def with_last_message():
    asked = {"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 0.5}
    request = lm15.request_from_openai_chat(asked)
    other = dspy_private.with_last_message(request, lm15.Message.user("b"))
    assert other == lm15.request_from_openai_chat({**asked, "messages": [{"role": "user", "content": "b"}]})
    assert request.messages[-1].text == "a"


@name("dspy", "dspy.clients.engines.litellm_errors.to_lm15_error")
def lm15_error():
    of_litellm = litellm.RateLimitError("slow down", "openai", "m")
    assert type(dspy_private.lm15_error(of_litellm)) is lm15.RateLimitError
    assert type(dspy_private.lm15_error(litellm.Timeout("late", "m", "openai"))) is lm15.TimeoutError
    own = ValueError("mine")
    assert dspy_private.lm15_error(own) is own


@name("dspy", "dspy.clients.engines.LiteLLMEngine")
def streamed():
    request = lm15.request_from_openai_chat({"model": "hosted_vllm/m", "messages": [{"role": "user", "content": "q"}]})
    with recording() as (url, recorder):
        events = dspy_private.streamed(request, {"api_base": url, "api_key": "k", "timeout": 5.0})
        with contextlib.suppress(lm15.LM15Error):  # this server does not stream
            list(events)
    assert [body["stream"] for body in recorder.bodies] == [True]


@name("dspy", "dspy.clients._http.retry_after_seconds")
def retry_after_seconds():
    read = dspy_private.retry_after_seconds
    assert (read("7"), read("0.5"), read("soon"), read(None)) == (7.0, 0.5, None, None)
    assert read("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert read("Wed, 21 Oct 2215 07:28:00 GMT") > 1e9


@name("dspy", "dspy.clients.legacy_requests._strict_json_schema")
def response_format_of():
    class Verdict(pydantic.BaseModel):
        label: str = "no"

    found = dspy_private.response_format_of(Verdict)["json_schema"]
    assert (found["name"], found["strict"], found["schema"]["required"]) == ("Verdict", True, ["label"])
    assert found["schema"]["additionalProperties"] is False
    assert dspy_private.response_format_of({"type": "json_object"}) == {"type": "json_object"}


@name("dspy", "dspy.clients.lm._is_openai_reasoning_model")
def is_reasoning_model():
    answers = [dspy_private.is_reasoning_model(m) for m in ("openai/o3-mini", "openai/gpt-4o-mini", "hosted_vllm/m")]
    assert answers == [True, False, False]


@name("dspy", "dspy.clients.lm._dump_engine", "dspy.clients.lm._load_engine")
def dumped_and_loaded():
    engine = embedded_lm("embedded/words").engine
    again = dspy_private.load_engine(dspy_private.dump_engine(engine))
    assert (type(again), again.name) == (type(engine), engine.name)


@name("dspy", "dspy.Example._input_keys")
def input_names():
    example = dspy.Example(a=1, b=2, c=3)
    assert dspy_private.input_names(example) is None
    assert dspy_private.input_names(example.with_inputs("a", "b")) == {"a", "b"}


@name("dspy", "dspy.Module._compiled")
def compiled():
    class Outer(dspy.Module):
        def __init__(self):
            self.inner = dspy.ChainOfThought("a -> b")

    program = Outer()
    assert [n for n, _ in program.named_predictors()] == ["inner.predict"]
    dspy_private.set_compiled(program.inner, True)
    assert list(program.named_predictors()) == []
    dspy_private.set_compiled(program.inner, False)
    assert [n for n, _ in program.named_predictors()] == ["inner.predict"]


@name("dspy", "dspy.predict.parameter.Parameter")
def parameter():
    class Holder(dspy.Module):
        def __init__(self):
            self.students = ExamStudents(["embedded/words"])

    holder = Holder()
    assert [n for n, _ in holder.named_parameters()] == ["students"]
    assert holder.dump_state()["students"] == {"students": ["embedded/words"]}


@name("dspy", "dspy.adapters.types.base_type.CUSTOM_TYPE_START_IDENTIFIER")
def custom_type():
    picture = str(dspy.Image("https://host/picture.png"))
    assert dspy_private.CUSTOM_TYPE in picture
    signature = classification("Is it good?", ("Yes", "No"))
    last = dspy.ChatAdapter().format(signature, [], {"text": picture})[-1]["content"]
    assert not isinstance(last, str), "a text with this mark is no text for the adapter"


@name(
    "dspy", "dspy.MIPROv2._propose_instructions", "dspy.MIPROv2._optimize_prompt_parameters",
    "dspy.MIPROv2._perform_full_evaluation",
)  # fmt: skip
def mipro():
    """`benchmarks/studies/race/rivals.py` overrides them, to keep instructions and to stay within a budget."""
    wanted = ["self", "program", "instruction_candidates", "demo_candidates", "evaluate", "valset", "num_trials"]
    assert list(inspect.signature(dspy.MIPROv2._optimize_prompt_parameters).parameters)[:7] == wanted
    proposed = list(inspect.signature(dspy.MIPROv2._propose_instructions).parameters)
    assert proposed[:2] == ["self", "program"]
    evaluated = list(inspect.signature(dspy.MIPROv2._perform_full_evaluation).parameters)
    assert evaluated == [
        "self", "trial_num", "adjusted_num_trials", "param_score_dict", "fully_evaled_param_combos", "evaluate",
        "valset", "trial_logs", "total_eval_calls", "score_data", "best_score", "best_program", "study",
        "instruction_candidates", "demo_candidates",
    ]  # fmt: skip


# LiteLLM


def deployments(*urls, provider="hosted_vllm", **info):
    params = [{"model": f"{provider}/m", "api_base": url, "api_key": "k"} for url in urls]
    return [with_id(Deployment(name="m", params=p, info=info)) for p in params]


def send(router, **data):
    return EventLoop.run(
        router.acompletion(model="m", messages=[{"role": "user", "content": "q"}], num_retries=0, **data)
    )


def ask(url, provider, heard):
    router = make_router(LMConfig(), deployments(url, provider=provider))
    return send(router, **litellm_private.routing((), heard))


def error_of(work):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the error itself is looked at
        work()
    return caught.value


@name("litellm", "litellm.types.utils.all_litellm_params")
def controls():
    found = litellm_private.controls()
    assert {"drop_params", "mock_response", "fallbacks", "ssl_verify"} <= found
    assert found.isdisjoint({"min_p", "extra_body", "repetition_penalty", "chat_template_kwargs", "temperature"})


@name("litellm", "provider_list")
def providers():
    assert {"openai", "hosted_vllm", "anthropic", "gemini"} <= litellm_private.providers()


@name("litellm", "get_model_info", "model_cost")
def listed_price():
    assert litellm_private.listed_price("gpt-4o-mini")["input_cost_per_token"] > 0
    assert litellm_private.listed_price("hosted_vllm/no-such-model") == {}


@name("litellm", "Router.acompletion(logger_fn=)", "its original_response")
def heard():
    for provider in ("hosted_vllm", "openai"):
        told, sent, parts = litellm_private.Heard(), [], [{"type": "text", "text": "hi"}]

        def hear(details, told=told, sent=sent):
            sent.append(len(recorder.raw))
            told(details)

        with recording(lambda body, parts=parts: completion(parts)) as (url, recorder):
            error = error_of(functools.partial(ask, url, provider, hear))
        assert told.sent
        assert sent[0] == 0, "it is called before the request goes out"
        assert told.chat_body(error)["choices"][0]["message"]["content"] == parts, "which LiteLLM cannot read"


@name("litellm", "its original_response, for errors")
def heard_of_no_reply():
    bad = {"body": b'{"choices": "\xe9"}', "content_type": "application/json"}
    for provider in ("hosted_vllm", "openai"):
        for reply in (lambda: refusal(500, "broken"), lambda: web.Response(**bad), lambda: web.Response(text="<html>")):
            told = litellm_private.Heard()
            with recording(lambda body, reply=reply: reply()) as (url, _):
                error = error_of(functools.partial(ask, url, provider, told))
            assert told.chat_body(error) is None


@name("litellm", "choice.provider_specific_fields: native_finish_reason, error")
def native_finish():
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "abort", "error": {"code": 502}}
    with recording(lambda body: {**completion("x"), "choices": [choice]}) as (url, _):
        (read,) = send(make_router(LMConfig(), deployments(url))).model_dump()["choices"]
    assert read["provider_specific_fields"] == {"native_finish_reason": "abort", "error": {"code": 502}}
    assert (read["finish_reason"], read["message"]["content"]) == ("stop", "x")


@name("litellm", "Router.acompletion(_excluded_deployment_ids=)", "model_info.id")
def excluded():
    with recording() as (one, first), recording() as (other, second):
        places = deployments(one, other)
        router = make_router(LMConfig(), places)
        for _ in range(12):
            send(router, **litellm_private.routing([places[0].info["id"]], list))
    assert (len(first.raw), len(second.raw)) == (0, 12)


@name("litellm", "error.failed_deployment_id", "error.litellm_response_headers")
def failed():
    with recording(lambda body: refusal(429, "slow", headers={"Retry-After": "7"})) as (url, _):
        (place,) = deployments(url)
        error = error_of(lambda: send(make_router(LMConfig(), [place])))
    assert litellm_private.failed_deployment(error) == place.info["id"]
    assert litellm_private.response_header(error, "retry-after") == "7"
    assert litellm_private.failed_deployment(ValueError()) is litellm_private.response_header(ValueError(), "x") is None


@name("litellm", "RouterRateLimitError.cooldown_time")
def cooldown():
    config = LMConfig(router_settings={"allowed_fails": 0, "cooldown_time": 30, "disable_cooldowns": False})
    with recording(lambda body: refusal(500, "broken")) as (url, recorder):
        router = make_router(config, deployments(url, url + "/"))
        errors = [error_of(lambda: send(router)) for _ in range(4)]
    assert len(recorder.raw) == 2
    assert [litellm_private.cooldown_of(error) is None for error in errors[:1]] == [True]
    assert 0 < litellm_private.cooldown_of(errors[-1]) <= 30


@name("litellm", "reply._hidden_params['model_id']")
def deployment_of():
    with recording(lambda body: completion(YES)) as (url, _):
        (place,) = deployments(url)
        assert litellm_private.deployment_of(send(make_router(LMConfig(), [place]))) == place.info["id"]
    assert litellm_private.deployment_of(object()) is None


@name("litellm", "PatternMatchRouter", "Router's wildcards")
def matched_pattern():
    """As the Router itself picks them."""
    patterns = [("*", "openai/*"), ("openai/*", "openai/*"), ("org/*-mini", "openai/x-*"), ("org/*", "openai/y")]
    places = [
        {"model_name": name, "litellm_params": {"model": model, "api_base": f"http://{i}.test", "api_key": "k"}}
        for i, (name, model) in enumerate(patterns)
    ]
    router = litellm.Router(model_list=places)
    for asked in ("openai/m", "org/4-mini", "org/4-mini-x", "org/4", "m", "gpt-4o", "a/b/c"):
        picked = router.get_available_deployment(model=asked, messages=[{"role": "user", "content": "q"}])
        name, (model,) = litellm_private.matched_pattern(patterns, asked)
        assert (name, model) == (picked["model_name"], picked["litellm_params"]["model"]), asked
    assert litellm_private.matched_pattern(patterns[1:], "m") is None


@name("litellm", "router_utils.fallback_event_handlers.get_fallback_model_group")
def fallback_of():
    chains = {"a": ("b",), "*": ("c", "d")}
    assert [litellm_private.fallback_of(chains, name) for name in ("a", "z")] == [["b"], ["c", "d"]]
    assert litellm_private.fallback_of({}, "a") == []


@name("litellm", "types.router.LiteLLM_Params", "types.utils.all_litellm_params", "OPENAI_CHAT_COMPLETION_PARAMS")
def known_settings():
    assert {"api_base", "rpm", "temperature", "aws_region_name", "langfuse_host"} <= litellm_private.known_settings()
    assert "api_bse" not in litellm_private.known_settings()


@name("litellm", "get_llm_provider")
def provider_and_address():
    asked = litellm_private.provider_and_address
    assert asked("openai/m")[0] == asked("gpt-4o")[0] == asked("m", "openai")[0] == "openai"
    assert asked("groq/m") == ("groq", "https://api.groq.com/openai/v1")
    assert asked("m") == (None, None)
    assert asked("m", None, "https://api.groq.com/openai/v1")[0] == "groq"


@name("litellm", "_known_custom_logger_compatible_callbacks", "litellm_logging.set_callbacks")
def callbacks():
    assert {"langfuse", "otel", "langsmith", "s3"} <= litellm_private.callback_names()
    if importlib.util.find_spec("wandb") is None:
        error_of(lambda: litellm_private.set_up_callback("wandb"))
    litellm_private.set_up_callback("helicone")  # it needs no package


@name("litellm", "ForkedAfterNativeRuntimeStarted")
def forked():
    """`tests/lms/test_forked.py` meets it; here, that it still has its name. Before 1.110 there is none."""
    assert not litellm_private.is_forked(RuntimeError())
    if importlib.util.find_spec("litellm.rust_bridge.fork_guard"):
        from litellm.rust_bridge.fork_guard import ForkedAfterNativeRuntimeStarted

        assert litellm_private.is_forked(ForkedAfterNativeRuntimeStarted("x"))


@name("litellm", "suppress_debug_info", "telemetry", "its loggers")
def hush():
    litellm_private.hush()
    assert litellm.suppress_debug_info is True
    assert litellm.telemetry is False
    assert all(logging.getLogger(known).level == logging.CRITICAL for known in litellm_private.LOGGERS)
    assert {"LiteLLM", "LiteLLM Router"} <= set(logging.root.manager.loggerDict)


@pytest.mark.parametrize("names", CHECKS, ids=str)
def test_a_private_name_does_what_it_is_taken_for(names):
    package, check = CHECKS[names]
    module = {"dspy": "lbt_dspy/dspy_private.py", "litellm": "lbt_dspy/lms/litellm/private.py"}[package]
    try:
        check()
    except Exception as error:
        version = importlib.metadata.version(package)
        pytest.fail(f"{package} {version} has changed {names}, which {module} takes from it: {error!r}")


MODULES = {"lbt_dspy/dspy_private.py", "lbt_dspy/lms/litellm/private.py"}
OVERRIDES = {"benchmarks/studies/race/rivals.py"}
PRIVATE = {
    "_input_keys", "_compiled", "_hidden_params", "_excluded_deployment_ids", "failed_deployment_id",
    "litellm_response_headers", "logger_fn", "provider_list", "model_cost", "get_model_info", "get_model_ids",
    "get_llm_provider", "_known_custom_logger_compatible_callbacks", "OPENAI_CHAT_COMPLETION_PARAMS",
}  # fmt: skip


def taken(path):
    """Give what a file takes from the inside of DSPy and LiteLLM."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("dspy", "litellm"):
            inside = node.module.startswith(("dspy.clients", "dspy._vendor", "dspy.predict.parameter", "litellm."))
            public = node.module == "dspy.clients.provider"
            yield from (f"{node.module}.{a.name}" for a in node.names if (inside and not public) or a.name[0] == "_")
        elif isinstance(node, ast.Attribute) and node.attr in PRIVATE:
            yield node.attr
        elif isinstance(node, ast.Constant) and node.value in PRIVATE:
            yield node.value
        elif isinstance(node, ast.FunctionDef) and re.match("_[a-z]", node.name) and hasattr(dspy.MIPROv2, node.name):
            yield node.name


def test_they_stand_in_one_module_each():
    paths = [p for folder in ("lbt_dspy", "metrics", "programs", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): found for path in paths if (found := sorted(taken(path)))}
    assert {place: names for place, names in found.items() if place not in MODULES | OVERRIDES} == {}
