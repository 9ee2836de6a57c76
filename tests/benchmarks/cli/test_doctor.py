"""`lbt doctor`: what it says of models, sandbox and extras, and when it is content."""

import pytest
from conftest import stats

from lbt_dspy.benchmarks.cli import checkup, doctor
from lbt_dspy.benchmarks.cli.main import main

YAML = """
model_list:
  - model_name: mine
    litellm_params: {{model: hosted_vllm/test-model, api_base: "{url}", api_key: none}}
    model_info: {{input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}}
"""


@pytest.fixture
def asks(server, tmp_path, monkeypatch, capsys):
    """Run the doctor on a server with faults; gives its exit code, both streams, and the requests that came."""
    monkeypatch.chdir(tmp_path)

    def run(*words, faults=()):
        with server(*faults) as url:
            (tmp_path / "models.yaml").write_text(YAML.format(url=url))
            code = main(["doctor", "--config", "models.yaml", "--teacher", "mine", *words])
            requests = stats(url)["requests"]
        return code, *capsys.readouterr(), requests

    return run


def test_a_model_that_answers_is_well(asks):
    code, out, err, requests = asks("--yes", "--students", "mine")
    assert (code, err, requests) == (0, "", 1)
    said = " ".join(out.split())
    assert "Calls to be made: 1, one to each model, at most $0.0" in said
    assert "hosted_vllm" not in said
    assert " mine yes 0." in said
    assert "known" in said


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (("--server-error", "1"), "no answer: server error"),
        (("--empty", "1"), "empty answer"),
        (("--malformed", "1"), "no answer"),
    ],
)
def test_a_model_that_does_not_is_named(asks, faults, says):
    code, out, err, requests = asks("--yes", faults=faults)
    assert (code, requests) == (1, 1)
    assert err == "error: a run would miss: mine\n"
    assert says in " ".join(out.split())


def test_nothing_is_asked_without_consent(asks):
    code, _, err, requests = asks()
    assert (code, requests) == (2, 0)
    assert "give --yes" in err


@pytest.mark.parametrize(("answer", "code", "requests"), [("y", 0, 1), ("Yes", 0, 1), ("", 2, 0), ("n", 2, 0)])
def test_consent_is_a_yes(asks, monkeypatch, answer, code, requests):
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    found = asks()
    assert (found[0], found[-1]) == (code, requests)


def test_models_of_this_process_need_no_call(capsys):
    assert main(["doctor", "--teacher", "embedded/teacher", "--students", "embedded/words,embedded/bayes"]) == 0
    out = capsys.readouterr().out
    assert out.count("in this process, for nothing") == 3
    assert "sandbox:" in out
    assert "extras:" in out


def test_what_a_run_needs_must_be_there(monkeypatch, capsys):
    monkeypatch.setattr(checkup, "_version", lambda package: None)
    assert main(["doctor", "--method", "m2"]) == 1
    assert capsys.readouterr().err == "error: a run would miss: the extra dpo\n"
    assert main(["doctor", "--method", "m3"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--teacher", "no-such-model"], "unknown model 'no-such-model'"),
        (["--client", "lena"], "did you mean lean"),
        (["--task", "cod"], "did you mean code"),
        (["--config", "none.yaml", "--teacher", "x"], "none.yaml cannot be read"),
        (["--studens", "x"], "--students"),
    ],
)
def test_a_mistake_is_one_line(words, says, capsys):
    try:
        code = main(["doctor", *words])
    except SystemExit as end:
        code = end.code
    err = capsys.readouterr().err
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_the_help_says_what_it_does():
    text = doctor.parser().format_help()
    assert "--yes" in text
    assert "Exit codes" in text
