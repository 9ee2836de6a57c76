"""No request leaves for an address that nobody named, and no key of the environment for one that it is not for."""

import contextlib

import pytest
from dspy.lm15 import request_from_openai_chat
from network import network

from lbt_dspy import LMRoles, UserError
from lbt_dspy.lms.fleet import sections
from lbt_dspy.lms.litellm import addresses
from lbt_dspy.lms.litellm.setup import litellm
from lbt_dspy.lms.user_lm import engine_of

OWN = "sk-users-own-"
ENVIRONMENT = {
    name: f"{OWN}{name.split('_')[0].lower()}"
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY", "MISTRAL_API_KEY",
                 "GEMINI_API_KEY", "HOSTED_VLLM_API_KEY", "TEAM_KEY", "DEEPSEEK_API_KEY", "COHERE_API_KEY")
}  # fmt: skip
HERE = "http://gate.test/v1"
ASK = request_from_openai_chat({"model": "m", "messages": [{"role": "user", "content": "the prompt"}]})


@pytest.fixture(scope="module")
def net():
    with network() as kept:
        yield kept


@pytest.fixture(autouse=True)
def _outside(net, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, net.address)
    for name in ("NO_PROXY", "no_proxy", "OPENAI_API_BASE", "OPENAI_BASE_URL", "HOSTED_VLLM_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    litellm.in_memory_llm_clients_cache.flush_cache()  # they keep the proxy that they were made with
    net.sent.clear()
    sections._said.clear()


def entry(name, params, more=""):
    return f"- model_name: {name}\n  litellm_params: {{{params}}}\n{more}"


def yaml(*entries, after=""):
    return "model_list:\n" + "".join(entries) + after


AT = f"api_base: '{HERE}', api_key: of-the-yaml"
CREDENTIAL = f"credential_list: [{{credential_name: c, credential_values: {{{AT}}}}}]\n"
ASKED = [
    ("exact", "a", yaml(entry("a", f"model: openai/m, {AT}")), "m"),
    ("exact with a provider", "openai/m", yaml(entry("openai/m", f"model: openai/m, {AT}")), "m"),
    ("base_url", "a", yaml(entry("a", f"model: openai/m, base_url: '{HERE}', api_key: of-the-yaml")), "m"),
    ("provider's wildcard", "openai/m", yaml(entry("openai/*", f"model: openai/*, {AT}")), "m"),
    ("anything", "openai/m", yaml(entry("'*'", f"model: '*', {AT}")), "m"),
    ("anything of a provider", "m-7", yaml(entry("'*'", f"model: openai/*, {AT}")), "m-7"),
    ("middle wildcard", "org/4-mini", yaml(entry("org/*-mini", f"model: openai/x-*-y, {AT}")), "x-4-y"),
    ("two wildcards", "a/b/c", yaml(entry("a/*/*", f"model: openai/*-*, {AT}")), "b-c"),
    ("a wildcard to one model", "groq/any", yaml(entry("groq/*", f"model: openai/one, {AT}")), "one"),
    ("a bare name", "gpt-4o", yaml(entry("openai/*", f"model: openai/*, {AT}")), "gpt-4o"),
    ("another provider's wildcard", "groq/llama", yaml(entry("groq/*", f"model: groq/*, {AT}")), "llama"),
    ("wildcard before public", "mistral/m", yaml(entry("mistral/*", f"model: mistral/*, {AT}")), "m"),
    ("the longer of two wildcards", "openai/m-x", yaml(
        entry("openai/*", "model: openai/*, api_base: 'http://other.test/v1', api_key: of-the-yaml"),
        entry("openai/m*", f"model: openai/m*, {AT}")), "m-x"),
    ("exact before wildcard", "openai/m", yaml(
        entry("openai/*", "model: openai/*, api_base: 'http://other.test/v1', api_key: of-the-yaml"),
        entry("openai/m", f"model: openai/own, {AT}")), "own"),
    ("alias", "b", yaml(entry("a", f"model: openai/m, {AT}"), after="router_settings: {model_group_alias: {b: a}}"),
     "m"),
    ("alias with a provider", "openai/gpt-4o", yaml(
        entry("a", f"model: openai/m, {AT}"), after="router_settings: {model_group_alias: {openai/gpt-4o: a}}"), "m"),
    ("hidden alias", "b", yaml(entry("a", f"model: openai/m, {AT}"),
                               after="router_settings: {model_group_alias: {b: {model: a, hidden: true}}}"), "m"),
    ("alias of a wildcard", "b", yaml(
        entry("openai/*", f"model: openai/*, {AT}"), after="router_settings: {model_group_alias: {b: openai/m}}"), "m"),
    ("credential", "a", CREDENTIAL + yaml(entry("a", "model: openai/m, litellm_credential_name: c")), "m"),
    ("credential of a wildcard", "openai/m", CREDENTIAL + yaml(
        entry("openai/*", "model: openai/*, litellm_credential_name: c")), "m"),
    ("credential beside an address", "a", yaml(
        entry("a", f"model: openai/m, api_base: '{HERE}', litellm_credential_name: c"),
        after="credential_list: [{credential_name: c, credential_values: {api_key: of-the-yaml}}]"), "m"),
    ("own variable", "a", yaml(entry("a", "model: openai/m, api_base: os.environ/BASE, api_key: os.environ/KEY"),
                               after=f"environment_variables: {{BASE: '{HERE}', KEY: of-the-yaml}}"), "m"),
    ("own variable of the provider", "a", yaml(
        entry("a", "model: openai/m"),
        after=f"environment_variables: {{OPENAI_API_BASE: '{HERE}', OPENAI_API_KEY: of-the-yaml}}"), "m"),
    ("own key of the provider", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}'"),
                                          after="environment_variables: {OPENAI_API_KEY: of-the-yaml}"), "m"),
    ("variable in a credential", "a", yaml(
        entry("a", "model: openai/m, litellm_credential_name: c"),
        after="environment_variables: {BASE: '" + HERE + "'}\ncredential_list: [{credential_name: c, "
        "credential_values: {api_base: os.environ/BASE, api_key: of-the-yaml}}]"), "m"),
    ("model from a variable", "a", yaml(entry("a", f"model: os.environ/WHICH, {AT}"),
                                        after="environment_variables: {WHICH: openai/m}"), "m"),
    ("provider said apart", "a", yaml(entry("a", f"model: m, custom_llm_provider: openai, {AT}")), "m"),
    ("variables of variables", "a", yaml(
        entry("a", "model: openai/m, api_base: os.environ/B, api_key: of-the-yaml"),
        after=f"environment_variables: {{C: '{HERE}', B: os.environ/C}}"), "m"),
    ("of a team", "a", yaml(entry("a", f"model: openai/m, {AT}", "  model_info: {team_id: t}\n")), "m"),
    ("two deployments", "a", yaml(*[entry("a", f"model: openai/m, {AT}")] * 2), "m"),
    ("no key", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}'")), "m"),
    ("an empty key", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}', api_key: ''")), "m"),
    ("a null key", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}', api_key: null")), "m"),
    ("no key, wildcard", "openai/m", yaml(entry("openai/*", f"model: openai/*, api_base: '{HERE}'")), "m"),
    ("no key, another provider", "groq/m", yaml(entry("groq/*", f"model: groq/*, api_base: '{HERE}'")), "m"),
    ("no key, a compatible provider", "a", yaml(entry("a", f"model: deepseek/m, api_base: '{HERE}'")), "m"),
    ("no key, any server", "a", yaml(entry("a", f"model: custom_openai/m, api_base: '{HERE}'")), "m"),
    ("no key, Xinference", "a", yaml(entry("a", f"model: xinference/m, api_base: '{HERE}'")), "m"),
    ("no key, LM Studio", "a", yaml(entry("a", f"model: lm_studio/m, api_base: '{HERE}'")), "m"),
    ("a host that looks like OpenAI's", "a", yaml(
        entry("a", "model: openai/m, api_base: 'http://api.openai.com.gate.test/v1'")), "m"),
    ("a path that looks like Groq's", "a", yaml(
        entry("a", "model: openai/m, api_base: 'http://gate.test/api.groq.com/openai/v1'")), "m"),
    ("no key, llamafile", "a", yaml(entry("a", f"model: llamafile/m, api_base: '{HERE}'")), "m"),
    ("fallback to anything", "a", yaml(entry("a", f"model: openai/m, {AT}"), entry("b", f"model: openai/n, {AT}"),
                                       after="router_settings: {fallbacks: [{'*': [b]}]}"), "m"),
    ("an address on the command line", f"openai/m@{HERE}", yaml(
        entry("openai/*", "model: openai/*, api_base: 'http://other.test/v1', api_key: of-the-yaml")), "m"),
]  # fmt: skip


@pytest.mark.parametrize("client", ["auto", "litellm"])
@pytest.mark.parametrize(("name", "text", "model"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED])
def test_what_a_yaml_names_is_asked_and_nobody_else(name, text, model, client, net, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    (lm,) = LMRoles(path, client=client).lms([name])
    answer = engine_of(lm).answer(ASK)
    assert "Yes" in answer.text
    (sent,) = net.sent
    assert sent.host.rpartition("@")[2].endswith("gate.test")
    assert f'"model": "{model}"' in sent.body.replace('"model":"', '"model": "')
    assert OWN not in sent.head + sent.body
    wanted = "of-the-yaml" in text and (sent.host == "gate.test") and "@" not in name
    assert ("of-the-yaml" in sent.head) == wanted
    assert "gate.test" in engine_of(lm).addresses[0]


OTHER_WIRES = [
    ("anthropic", "model: anthropic/claude-3-5-haiku-latest"),
    ("azure", "model: azure/m, api_version: '2024-10-21'"),
    ("gemini", "model: gemini/gemini-2.5-flash"),
    ("cohere", "model: cohere/command-r"),
    ("ollama", "model: ollama_chat/m"),
    ("mistral", "model: mistral/m"),
    ("openrouter", "model: openrouter/a/b"),
    ("text completion", "model: text-completion-openai/m"),
]


@pytest.mark.parametrize("params", [row[1] for row in OTHER_WIRES], ids=[row[0] for row in OTHER_WIRES])
def test_no_provider_is_sent_its_key_at_an_address_that_is_not_its_own(params, net, tmp_path):
    """Their replies have other shapes, so the answer is none; what counts is what was sent."""
    path = tmp_path / "c.yaml"
    path.write_text(yaml(entry("a", f"{params}, api_base: '{HERE}'")))
    (lm,) = LMRoles(path).lms(["a"])
    with contextlib.suppress(Exception):  # whatever the client makes of an answer of another shape
        engine_of(lm).answer(ASK)
    assert net.hosts
    # LiteLLM asks the Ollama of this machine what a model of that name can do.
    assert set(net.hosts) - {"localhost:11434"} == {"gate.test"}
    assert not [sent for sent in net.sent if OWN in sent.head + sent.path + sent.body]


REFUSED = [
    ("include", "a", "include: [other.yaml]\n" + yaml(entry("a", f"model: openai/m, {AT}")),
     "include is not supported"),
    ("a misspelt address", "a", yaml(entry("a", f"model: openai/m, api_bse: '{HERE}'")), "did you mean api_base"),
    ("an address by another name", "a", yaml(entry("a", f"model: openai/m, endpoint: '{HERE}'")),
     "did you mean api_base"),
    ("an address by a strange name", "a", yaml(entry("a", f"model: openai/m, gw: '{HERE}'")), "unknown setting 'gw'"),
    ("an address with a hyphen", "a", yaml(entry("a", f"model: openai/m, api-base: '{HERE}'")),
     "did you mean api_base"),
    ("a misspelt key", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}', apikey: x")),
     "did you mean api_key"),
    ("an address too far left", "a", yaml(entry("a", "model: openai/m", f"  api_base: {HERE}\n")),
     "under litellm_params"),
    ("an address at the top", "a", f"api_base: {HERE}\n" + yaml(entry("a", "model: openai/m")), "under a model's"),
    ("an address for all", "a", yaml(entry("a", "model: openai/m"), after=f"litellm_settings: {{api_base: '{HERE}'}}"),
     "every model of the process"),
    ("a key for all", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}'"),
     after="litellm_settings: {api_key: k}"),
     "every model of the process"),
    ("a misspelt section", "a", "credentials_list: []\n" + yaml(entry("a", "model: openai/m")),
     "did you mean credential"),
    ("an unknown credential", "a", yaml(entry("a", "model: openai/m, litellm_credential_name: c")),
     "unknown credential 'c'"),
    ("a credential without values", "a", "credential_list: [{credential_name: c}]\n" + yaml(entry("a",
     "model: openai/m")),
     "credential_values"),
    ("two addresses", "a", yaml(entry("a", f"model: openai/m, api_base: '{HERE}', base_url: 'http://o.test'")),
     "two addresses"),
    ("an address without http", "a", yaml(entry("a", "model: openai/m, api_base: 'gate.test/v1'")),
     "must begin with http"),
    ("no provider", "a", yaml(entry("a", f"model: m, {AT}")), "write openai/m"),
    ("a pattern", "openai/*", yaml(entry("openai/*", f"model: openai/*, {AT}")), "is a pattern"),
    ("nothing for the star", "a", yaml(entry("a", f"model: openai/*, {AT}")), r"has no \* to fill it in"),
    ("an alias of nothing", "b", yaml(entry("a", f"model: openai/m, {AT}"),
                                      after="router_settings: {model_group_alias: {b: c}}"), "unknown model 'c'"),
    ("a strange alias", "b", yaml(entry("a", f"model: openai/m, {AT}"),
     after="router_settings: {model_group_alias: [b]}"),
     "must be a mapping"),
    ("an access group", "openai/beta", yaml(entry("a", f"model: openai/m, {AT}",
     "  model_info: {access_groups: [openai/beta]}\n")),
     "is a group of models.*name one of them: a"),
    ("a routing group", "openai/fast", yaml(
        entry("a", f"model: openai/m, {AT}"),
        after="router_settings: {routing_groups: [{group_name: openai/fast, models: [a]}]}"), "is a group of models"),
    ("fallbacks of a model", "a", yaml(entry("a", f"model: openai/m, {AT}, fallbacks: [openai/gpt-4o]")),
     "fallbacks is not for litellm_params; write it as router_settings"),
    ("shadow traffic", "a", yaml(entry("a", f"model: openai/m, {AT}, silent_model: b")), "silent_model is not for"),
    ("LiteLLM's proxy", "a", yaml(entry("a", f"model: openai/m, {AT}, use_litellm_proxy: true")), "litellm_proxy/NAME"),
    ("an address by default", "a", yaml(
        entry("a", f"model: openai/m, {AT}"),
        after="router_settings: {default_litellm_params: {api_base: 'http://other.test/v1'}}"), "belongs to a model"),
    ("several answers by default", "a", yaml(
        entry("a", f"model: openai/m, {AT}"), after="router_settings: {default_litellm_params: {n: 4}}"),
         "belongs to a"),
    ("a blocked model", "a", yaml(entry("a", f"model: openai/m, {AT}", "  model_info: {blocked: true}\n")),
     "is blocked"),
    ("a server nowhere", "a", yaml(entry("a", "model: custom_openai/m")), "needs the address of its server"),
    ("a variable that is not set", "a", yaml(entry("a", "model: openai/m, api_base: os.environ/LBT_NOWHERE")),
     "LBT_NOWHERE"),
    ("a name that nothing covers", "good", yaml(entry("openai/*", f"model: openai/*, {AT}")), "unknown model 'good'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_could_lead_elsewhere_is_refused_in_one_line(name, text, says, net, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        LMRoles(path).lms([name])
    assert "\n" not in str(caught.value)
    assert net.sent == []


def test_a_model_string_goes_to_its_provider_through_the_proxy(net):
    """That what leaves for elsewhere would be seen: the double sees what is meant to leave, in either client."""
    for name, host in (("openai/gpt-4o-mini", "api.openai.com"), ("groq/llama", "api.groq.com")):
        net.sent.clear()
        with pytest.raises(Exception, match=r".") as caught:
            engine_of(LMRoles().lms([name])[0]).answer(ASK)
        assert not isinstance(caught.value, UserError)
        assert set(net.hosts) == {host}
    net.sent.clear()
    engine_of(LMRoles(client="lean").lms([f"hosted_vllm/m@{HERE}"])[0]).answer(ASK)
    assert net.hosts == ["gate.test"]


def test_the_key_of_ones_own_servers_goes_to_whatever_address_is_named(net, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(yaml(entry("a", f"model: hosted_vllm/m, api_base: '{HERE}'")))
    for client in ("lean", "litellm"):
        engine_of(LMRoles(path, client=client).lms(["a"])[0]).answer(ASK)
    assert ["sk-users-own-hosted" in sent.head for sent in net.sent] == [True, True]
    assert not [sent for sent in net.sent if f"{OWN}openai" in sent.head]


def test_the_address_that_the_environment_names_beside_a_key_gets_that_key(net, monkeypatch):
    monkeypatch.setenv("OPENAI_API_BASE", HERE)
    for client in ("lean", "litellm"):
        engine_of(LMRoles(client=client).lms(["openai/m"])[0]).answer(ASK)
        engine_of(LMRoles(client=client).lms([f"openai/m@{HERE}"])[0]).answer(ASK)
    assert [(sent.host, f"{OWN}openai" in sent.head) for sent in net.sent] == [("gate.test", True)] * 4


def test_a_key_that_is_not_sent_is_said_once_with_the_way_to_send_it(tmp_path, caplog):
    path = tmp_path / "c.yaml"
    path.write_text(yaml(entry("a", f"model: openai/m, api_base: '{HERE}'")))
    for _ in range(2):
        LMRoles(path).lms(["a"])
    (said,) = [record.message for record in caplog.records]
    assert f"a is asked at {HERE} without a key" in said
    assert "write api_key: os.environ/OPENAI_API_KEY" in said
    path.write_text(yaml(entry("a", f"model: openai/m, api_base: '{HERE}', api_key: os.environ/OPENAI_API_KEY")))
    assert not engine_of(LMRoles(path).lms(["a"])[0])._deployments[0].keyless


def test_what_is_not_used_is_named_once(tmp_path, caplog):
    path = tmp_path / "c.yaml"
    path.write_text(
        "guardrails: []\ngeneral_settings: {master_key: x}\n"
        + yaml(entry("a", f"model: openai/m, {AT}", "  colour: blue\n"))
        + "litellm_settings: {cache: true}\nenvironment_variables: {LANGFUSE_HOST: x}\n"
    )
    for _ in range(2):
        LMRoles(path).lms(["a"])
    said = [record.message.partition(": ")[2] for record in caplog.records]
    assert said == [
        "the section guardrails is not used here",
        "entry 1 of model_list (a): the key colour beside litellm_params is not used",
        "litellm_settings: cache is not used, replies are kept by the journal",
        "environment_variables: LANGFUSE_HOST is not used by these models",
    ]


@pytest.mark.parametrize(
    ("provider", "address", "own"),
    [
        ("openai", "https://api.openai.com/v1", True),
        ("openai", "https://eu.api.openai.com/v1", True),
        ("openai", "https://openai.com.evil.test/v1", False),
        ("openai", "https://evilopenai.com/v1", False),
        ("openai", "https://api.openai.com@evil.test/v1", False),
        ("openai", "https://api.groq.com/openai/v1", False),
        ("groq", "https://api.groq.com/openai/v1", True),
        ("azure", "https://mine.openai.azure.com", True),
        ("azure", "https://mine.azure.com.evil.test", False),
        ("mistral", "https://api.mistral.ai/v1", True),
        ("anthropic", "https://api.anthropic.com", True),
        ("anthropic", "http://127.0.0.1:8000", False),
    ],
)
def test_which_addresses_are_a_providers_own(provider, address, own):
    assert addresses.is_own(provider, address) is own
