"""DSPy's adapters learn of our LMs what they learn of the model behind the name, and send tools and schemas so."""

import asyncio
import json
import os

import dspy
import pytest
from recording_server import always_yes, completion, recording

from lbt_dspy import LMRoles
from lbt_dspy.lms.abilities import Abilities, abilities_of
from lbt_dspy.lms.config import Deployment
from lbt_dspy.lms.embedded import embedded_lm

HERE = "http://127.0.0.1:9/v1"
CLIENTS = ["auto", "litellm"]
KEYS = ("OPENAI_API_KEY", "HOSTED_VLLM_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY")
MODELS = (
    "openai/gpt-4o-mini", "openai/gpt-5", "openai/o3-mini", "openai/a-model-of-ones-own", "hosted_vllm/Qwen/Qwen3-8B",
    "ollama_chat/llama3.1", "anthropic/claude-sonnet-4-5-20250929",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for key in KEYS:
        monkeypatch.setenv(key, "sk-for-tests-123456")


def said(lm):
    return lm.supports_function_calling, lm.supports_reasoning, lm.supports_response_schema, lm.supported_params


def named(tmp_path, *entries, client="auto"):
    """The LM of a YAML's one name."""
    path = tmp_path / "models.yaml"
    models = [{"model_name": "mine", "litellm_params": params, "model_info": info} for params, info in entries]
    path.write_text(json.dumps({"model_list": models}))
    return LMRoles(path, client=client).lms(["mine"])[0]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_said_is_what_plain_dspy_says(tmp_path, model, client):
    plain = said(dspy.LM(model, api_base=HERE))
    assert said(LMRoles(client=client).lms([f"{model}@{HERE}"])[0]) == plain
    assert said(named(tmp_path, ({"model": model, "api_base": HERE}, {}), client=client)) == plain


def test_the_weakest_deployment_counts(tmp_path):
    able, plain = ({"model": f"openai/{m}", "api_base": HERE} for m in ("gpt-4o-mini", "of-ones-own"))
    assert said(named(tmp_path, (able, {}), (able, {})))[0]
    assert not any(said(named(tmp_path, (able, {}), (plain, {})))[:3])


INFO = [
    ({"supports_function_calling": True}, (True, False, False), {"tools", "tool_choice"}),
    ({"supports_response_schema": True}, (False, False, True), {"response_format"}),
    ({"base_model": "openai/gpt-4o-mini"}, (True, False, True), {"tools", "response_format"}),
    ({"base_model": "openai/gpt-4o-mini", "supports_function_calling": False}, (False, False, True), set()),
    ({"supports_vision": True}, (False, False, False), set()),
]


@pytest.mark.parametrize(("info", "abilities", "params"), INFO, ids=[str(info) for info, _, _ in INFO])
def test_model_info_goes_first(tmp_path, info, abilities, params):
    found = said(named(tmp_path, ({"model": "hosted_vllm/mine", "api_base": HERE}, info)))
    assert found[:3] == abilities
    assert params <= found[3]


def test_models_in_this_process_write_text_alone():
    assert said(embedded_lm("embedded/words")) == (False, False, False, set())


def test_a_model_that_nobody_knows_can_do_nothing():
    assert abilities_of([Deployment(name="m", params={"model": "nobody/knows", "timeout": "x"})]) == Abilities()


ADAPTERS = [dspy.ChatAdapter(use_native_function_calling=True), dspy.JSONAdapter()]


class Tools(dspy.Signature):
    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sun in {city}"


def calls_tools(body):
    """A server that calls the first tool that it is sent, writes JSON where a format is asked for, else Yes."""
    if body.get("tools"):
        reply = completion("", finish="tool_calls")
        function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"city": "Oslo"})}
        call = {"id": "c1", "type": "function", "function": function}
        reply["choices"][0]["message"] |= {"content": None, "tool_calls": [call], "reasoning_content": "Where?"}
        return reply
    return completion(json.dumps({"level": 3})) if body.get("response_format") else always_yes(body)


@pytest.fixture(scope="module")
def server_of_tools():
    with recording(calls_tools) as found:
        yield found


def lms(url):
    """A plain LM, and ours."""
    plain = dspy.LM("openai/gpt-4o-mini", api_base=url, api_key=os.environ["OPENAI_API_KEY"], cache=False)
    return [plain, *(LMRoles(client=client).lms([f"openai/gpt-4o-mini@{url}"])[0] for client in CLIENTS)]


def asked_of_each(server, ask):
    """What each LM gave, and what it sent."""
    url, recorder = server
    for lm in lms(url):
        recorder.raw.clear()
        with dspy.context(lm=lm):
            found = ask()
        (body,) = recorder.bodies
        yield (
            found,
            {name: body[name] for name in ("messages", "tools", "response_format", "tool_choice") if name in body},
        )


@pytest.mark.parametrize("adapter", ADAPTERS, ids=["chat", "json"])
@pytest.mark.parametrize("later", [False, True])
def test_tools_are_sent_and_their_calls_come_back(server_of_tools, adapter, later):
    predict, asked = dspy.Predict(Tools), {"question": "q", "tools": [dspy.Tool(weather)]}

    def ask():
        with dspy.context(adapter=adapter):
            found = asyncio.run(predict.acall(**asked)) if later else predict(**asked)
        (call,) = found.calls.tool_calls
        return call.name, call.args

    plain, *ours = asked_of_each(server_of_tools, ask)
    assert plain[0] == ("weather", {"city": "Oslo"})
    assert plain[1]["tools"]
    assert ours == [plain] * 2


def test_schemas_are_sent(server_of_tools):
    def ask():
        with dspy.context(adapter=dspy.JSONAdapter()):
            return dspy.Predict("text -> level: int")(text="t").level

    plain, *ours = asked_of_each(server_of_tools, ask)
    assert plain[0] == 3
    assert plain[1]["response_format"]["type"] == "json_schema"
    assert ours == [plain] * 2


def test_tools_of_the_lm_itself_give_the_same_answer(server_of_tools):
    function = {"name": "weather", "description": "-", "parameters": {"type": "object", "properties": {}}}

    def ask():
        (found,) = dspy.settings.lm("q", tools=[{"type": "function", "function": function}])
        calls = [(call["function"]["name"], call["function"]["arguments"]) for call in found["tool_calls"]]
        return calls, found["reasoning_content"]

    plain, *ours = asked_of_each(server_of_tools, ask)
    assert plain[0] == ([("weather", '{"city": "Oslo"}')], "Where?")
    assert ours == [plain] * 2


@pytest.mark.parametrize("client", CLIENTS)
def test_an_agent_uses_its_tools(client):
    steps = iter([("weather", '{"city": "Oslo"}'), ("finish", "{}")])

    def agent(body):
        text = str(body["messages"][-1]["content"])
        if "next_tool_name" not in text:
            return completion("[[ ## reasoning ## ]]\nSo.\n\n[[ ## answer ## ]]\nsun\n\n[[ ## completed ## ]]")
        name, args = next(steps)
        fields = {"next_thought": "-", "next_tool_name": name, "next_tool_args": args}
        return completion("\n\n".join(f"[[ ## {k} ## ]]\n{v}" for k, v in fields.items()))

    with recording(agent) as (url, recorder):
        lm = LMRoles(client=client).lms([f"openai/gpt-4o-mini@{url}"])[0]
        with dspy.context(lm=lm):
            found = dspy.ReAct("question -> answer", tools=[weather])(question="q")
    assert found.answer == "sun"
    assert "sun in Oslo" in str(found.trajectory)
    assert len(recorder.raw) == 3
