"""A dry run needs neither keys nor a sandbox, and says where models would be asked and what the run would reserve."""

import json
import re

import pytest
from command_line import run
from conftest import ROOT
from dspy.lm15 import request_from_openai_chat
from recording_server import recording

from lbt_dspy import LMRoles
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.metrics.sandbox import grading

PRICED = """
model_list:
- model_name: paid
  litellm_params:
    {model: openai/m, api_base: os.environ/LBT_UNSET_BASE, api_key: os.environ/LBT_UNSET_KEY, max_tokens: 100}
  model_info: {input_cost_per_token: 0, output_cost_per_token: "1e-3"}
- model_name: open
  litellm_params: {model: openai/m, api_base: 'http://gate.test/v1', api_key: os.environ/LBT_UNSET_KEY}
  model_info: {input_cost_per_token: 0, output_cost_per_token: 0.001}
- model_name: groq/*
  litellm_params: {model: groq/*, api_key: os.environ/LBT_UNSET_KEY}
- model_name: cloud
  litellm_params: {model: azure/m, api_base: os.environ/LBT_UNSET_BASE, api_version: os.environ/LBT_UNSET_VERSION}
router_settings: {fallbacks: [{paid: [open]}]}
"""
SMALL = "--exemplars 2 --selection-examples 10 --minibatch 4 --rounds 1 --seeds 0".split()


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GROQ_API_KEY",
        "AZURE_API_KEY",
        "OPENAI_API_BASE",
        "OPENAI_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)


def test_it_needs_no_key_and_says_where_each_role_would_be_asked(capsys):
    words = ["--task", "fallacy", *SMALL, "--teacher", "openai/gpt-4o", "--students", "groq/llama,embedded/words"]
    code, out, err = run(*words, "--dry-run", capsys=capsys)
    assert (code, err) == (0, "")
    (said,) = [line for line in out.splitlines() if line.startswith("Asked: ")]
    assert "teacher openai/gpt-4o at api.openai.com" in said
    assert "students groq/llama at https://api.groq.com/openai/v1" in said
    assert "embedded" not in said
    code, _, err = run(*words, capsys=capsys)
    assert code == 2
    assert "needs a key: export OPENAI_API_KEY" in err


def test_variables_of_a_yaml_may_be_missing(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(PRICED)
    words = ["--task", "fallacy", "--config", str(path), *SMALL, "--teacher", "paid", "--students", "groq/x,cloud,open"]
    code, out, _ = run(*words, "--dry-run", capsys=capsys)
    assert code == 0
    assert "teacher paid at $LBT_UNSET_BASE (not set) and http://gate.test/v1" in out
    assert "students open at http://gate.test/v1" in out
    code, _, err = run(*words, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)


def test_the_most_cost_is_what_is_reserved(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(PRICED.partition("router_settings")[0])
    words = ["--task", "fallacy", "--config", str(path), *SMALL, "--teacher", "open", "--students", "paid"]
    code, out, _ = run(*words, "--dry-run", capsys=capsys)
    assert code == 0
    rows = {cells[1]: cells for line in out.splitlines() if len(cells := line.split()) == 6}
    for name, tokens in (("open", 4096), ("paid", 100)):
        most, cost = (float(re.sub(r"[$,]", "", cell)) for cell in rows[name][-2:])
        assert cost == pytest.approx(most * tokens * 0.001, rel=1e-3)
    (lm,) = LMRoles(path, dry=True).lms(["open"])
    request = request_from_openai_chat({"model": "open", "messages": [{"role": "user", "content": "q"}]})
    engine = engine_of(lm)
    assert engine.limited(request).config.max_tokens == 4096
    assert engine.worst_cost(engine.limited(request)) == engine.worst_cost(request) == pytest.approx(4.096)


def test_programs_need_no_sandbox(tmp_path, capsys, monkeypatch):
    def absent(*_):
        raise AssertionError("a sandbox was asked for")

    for name in ("_trial", "_pool"):
        monkeypatch.setattr(grading, name, absent)
    problem = {"tags": ["a"], "difficulty": "Easy", "entry_point": "g", "program": "def g(x):\n    return 2 * x",
               "visible": ["assert g(3) == 6"], "hidden": ["assert g(9) == 18"], "preamble": "import math"}  # fmt: skip
    for split in ("teaching", "exam"):
        rows = [{**problem, "question": f"{split} {i}", "unique_id": f"{split}{i}"} for i in range(4)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--task", "code", "--data", str(tmp_path), "--teacher", "openai/gpt-4o-mini", "--rationales", "2"]
    code, out, err = run(*words, "--dry-run", capsys=capsys)
    assert (code, err) == (0, "")
    assert "Asked: teacher openai/gpt-4o-mini at api.openai.com" in out


def test_the_first_line_of_a_run_says_it_too(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "test"):
        lines = (ROOT / "benchmarks" / "data" / f"fallacy_{split}.jsonl").read_text().splitlines()[:12]
        (data / f"{split}.jsonl").write_text("\n".join(lines))
    with recording() as (url, _):
        words = ["--task", "fallacy", "--data", str(data), *SMALL, "--teacher", f"hosted_vllm/m@{url}"]
        code, _, err = run(*words, "--max-calls", "1", "--out", str(tmp_path / "one"), capsys=capsys)
        assert code == 3
        assert err.splitlines()[0] == f"Asked: teacher hosted_vllm/m@{url} at {url}"
        code, _, err = run(*words, "--max-calls", "1", "--quiet", "--out", str(tmp_path / "two"), capsys=capsys)
        assert (code, err.count("\n")) == (3, 1)
