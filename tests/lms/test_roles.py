import http.server
import json
import socket
import threading

import dspy
import pytest

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Ledger, LMRoles, UserError
from lbt_dspy.lms.redaction import public_url
from lbt_dspy.lms.user_lm import engine_of

FLEET = """
model_list:
  - model_name: fleet
    litellm_params: {model: hosted_vllm/tiny, api_base: "http://h:1", temperature: 0.7, top_k: 20, max_tokens: 9}
  - model_name: fleet
    litellm_params: {model: hosted_vllm/tiny, api_base: "http://h:2", temperature: 0.7, top_k: 20, max_tokens: 9}
  - model_name: keyed
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/LBT_TEST_KEY}
"""


@pytest.fixture
def fleet(tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    return path


def test_sampling_defaults_of_a_name_become_the_lms(fleet):
    lm = LMRoles(fleet).lms(["fleet"])[0]
    assert {k: lm.kwargs[k] for k in ("temperature", "top_k", "max_tokens")} == {
        "temperature": 0.7, "top_k": 20, "max_tokens": 9,
    }  # fmt: skip


def test_identities_name_every_endpoint_and_no_secret(fleet, monkeypatch):
    monkeypatch.setenv("LBT_TEST_KEY", "sk-hidden-12345")
    roles = LMRoles(fleet)
    first, keyed, again = (engine_of(lm) for lm in roles.lms(["fleet", "keyed", "fleet"]))
    assert "http://h:1" in first.identity
    assert "http://h:2" in first.identity
    assert first is again
    assert "sk-hidden-12345" not in keyed.identity
    assert "sk-hidden-12345" in keyed.secrets
    assert public_url("https://me:pw@host:1/v1/?key=x#y") == "https://host:1/v1"


def test_a_model_that_is_not_used_may_lack_its_key(fleet, monkeypatch):
    monkeypatch.delenv("LBT_TEST_KEY", raising=False)
    LMRoles(fleet).lms(["fleet"])
    with pytest.raises(UserError, match=r"LBT_TEST_KEY, which is not set; export LBT_TEST_KEY"):
        LMRoles(fleet).lms(["keyed"])


def test_model_strings_and_addresses(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden-67890")
    names = ["openai/gpt-4o-mini", "hosted_vllm/org/model@http://127.0.0.1:9/v1", "embedded/bayes"]
    lms = LMRoles().lms(names)
    assert [engine_of(lm).name for lm in lms] == names
    assert "sk-hidden-67890" in engine_of(lms[0]).secrets
    assert engine_of(lms[0]).priced
    assert not engine_of(lms[1]).priced
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="export OPENAI_API_KEY"):
        LMRoles().lms(names[:1])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("embedded/wrods", "did you mean 'embedded/words'"),
        ("fleat", "did you mean 'fleet'"),
        ("nosuchprovider/x", "known: fleet, keyed, embedded/words"),
        ("hosted_vlm/q@http://127.0.0.1:9/v1", "did you mean 'hosted_vllm/q@http://127.0.0.1:9/v1'"),
        ("hosted_vllm/q@127.0.0.1:9/v1", "must begin with http:// or https://; write @http://127.0.0.1:9/v1"),
        ("hosted_vlm/q@http://me:s3cret@127.0.0.1:9/v1", "did you mean 'hosted_vllm/q@http://127.0.0.1:9/v1'"),
        ("hosted_vllm/q@http://me:s3cret@127.0.0.1:9/v1", "holds a user and password, and names of models are written"),
        ("hosted_vllm/q@me:s3cret@127.0.0.1:9/v1", "the address '127.0.0.1:9/v1' must begin with http://"),
        ("hosted_vllm/q@localhost/v1", "must begin with http:// or https://"),
        ("hosted_vllm/q@vllm.example.org/v1", "must begin with http:// or https://"),
        ("hosted_vllm/q", "hosted_vllm/q@http://host:port/v1, api_base in the YAML, or export HOSTED_VLLM_API_BASE"),
        ("gpt-4o", "or a LiteLLM model string"),
        ("", "unknown model ''"),
    ],
)
def test_unknown_names_list_the_known_ones(name, says, fleet):
    with pytest.raises(UserError, match=says) as caught:
        LMRoles(fleet).lms([name])
    assert "s3cret" not in str(caught.value)


BROKEN = [
    ("not: [closed", "no readable YAML in line"),
    ("just text", "has no model_list"),
    ("model_list: []", "has no model_list"),
    ("model_list: [{litellm_params: {model: openai/x}}]", "entry 1 of model_list has no model_name"),
    ("model_list: [{model_name: a}]", "no litellm_params with a model"),
    (
        "model_list: [{model_name: a, litellm_params: {model: openai/x}}]\nrouter_settings: {fallbacks: [{a: [b]}]}",
        "unknown model 'b'",
    ),
    (
        "model_list: [{model_name: a, litellm_params: {model: openai/x, temperature: 0}},"
        " {model_name: a, litellm_params: {model: openai/x, temperature: 1}}]",
        "differ in their sampling settings",
    ),
    ("model_list: [{model_name: a, litellm_params: {model: openai/x}}]\nrouter_settings: [1]", "must be a mapping"),
]


@pytest.mark.parametrize(("text", "says"), BROKEN, ids=[says for _, says in BROKEN])
def test_broken_yaml(text, says, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        LMRoles(path)


@pytest.mark.parametrize(
    ("section", "says"), [("router_settings: {rooting: 1}", "rooting"), ("litellm_settings: {nosuch: 1}", "nosuch")]
)
def test_unknown_settings_are_refused(section, says, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"model_list: [{{model_name: a, litellm_params: {{model: hosted_vllm/x, api_base: 'http://x'}}}}]\n{section}"
    )
    with pytest.raises(UserError, match=says):
        LMRoles(path).lms(["a"])


def test_a_missing_file():
    with pytest.raises(UserError, match="cannot be read"):
        LMRoles("nowhere.yaml")


def test_the_example_fleet_can_be_used(monkeypatch):
    from conftest import ROOT

    for name in ("OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_API_BASE", "VLLM_API_KEY"):
        monkeypatch.setenv(name, "https://x.example" if "BASE" in name else "sk-example-1234")
    lms = LMRoles(ROOT / "examples" / "litellm.yaml").lms(["gpt-4o-mini", "llama-8b", "gemma-local"])
    assert [lm.model for lm in lms] == ["gpt-4o-mini", "llama-8b", "gemma-local"]
    assert engine_of(lms[1]).identity.count("hosted_vllm/") == 2


@pytest.fixture
def recorder():
    """A server that keeps the bodies it gets and always answers Yes."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append(body)
            message = {"role": "assistant", "content": "[[ ## label ## ]]\nYes"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            reply["usage"] = usage
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    server.shutdown()
    server.server_close()


def test_every_setting_of_a_name_is_sent(recorder, tmp_path, program):
    """What the YAML says wins over the library's temperature 0; a reasoning model is not sent one it would refuse."""
    url, bodies = recorder
    path = tmp_path / "c.yaml"
    path.write_text(
        "model_list:\n- model_name: local\n  litellm_params:\n"
        f"    {{model: hosted_vllm/m, api_base: '{url}', temperature: 0.7, top_k: 20, top_p: 0.9, max_tokens: 33,\n"
        "     stop: [END], min_p: 0.1, extra_body: {chat_template_kwargs: {enable_thinking: false}}}\n"
        "- model_name: plain\n"
        f"  litellm_params: {{model: hosted_vllm/m, api_base: '{url}'}}\n"
        "- model_name: reasoning\n"
        f"  litellm_params: {{model: openai/gpt-5-mini, api_base: '{url}', api_key: none-needed}}\n"
    )
    problem = ExamProblem(example=dspy.Example(text="t", label="Yes").with_inputs("text"))
    for lm in LMRoles(path).lms(["local", "plain", "reasoning"]):
        examiner = Examiner(program, grader=ExactMatch("label"), ledger=Ledger(retries=0), config={"temperature": 0.0})
        assert examiner.examine([Exam(material=(), problems=[problem])], [lm])[0][0].score == 1.0
    local, plain, reasoning = bodies
    wanted = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.1, "stop": ["END"]}
    assert {k: local.get(k) for k in wanted} == wanted
    assert 33 in (local.get("max_tokens"), local.get("max_completion_tokens"))
    assert local["chat_template_kwargs"] == {"enable_thinking": False}
    assert plain["temperature"] == 0.0
    assert "temperature" not in reasoning
    assert all("seed" in body for body in bodies)


def test_what_one_deployment_fails_another_is_asked(recorder, tmp_path, program):
    """Once only: half of the calls go to a dead server first, and none of them may meet it again."""
    url, bodies = recorder
    path = tmp_path / "c.yaml"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        path.write_text(
            "model_list:\n"
            + "".join(
                f"- {{model_name: two, litellm_params: {{model: hosted_vllm/m, api_base: '{base}'}}}}\n"
                for base in (url, dead)
            )
            + "router_settings: {disable_cooldowns: true}"
        )
        problems = [ExamProblem(example=dspy.Example(text=f"t{i}", label="Yes").with_inputs("text")) for i in range(40)]
        ledger = Ledger(retries=1)
        examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
        report = examiner.examine([Exam(material=(), problems=problems)], LMRoles(path).lms(["two"]))[0][0]
    assert report.coverage == 1.0
    assert len(bodies) == 40 < ledger.journal.sent()
