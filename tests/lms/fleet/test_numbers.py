"""Numbers of a YAML: as they are, as text, from a variable; what is none is one line, before any call."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import LMRoles, UserError
from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.lms.fleet.numbers import RANGES, typed
from lbt_dspy.lms.user_lm import engine_of

GOOD = [
    ("temperature", "0.7", 0.7), ("temperature", 0, 0), ("temperature", " 1 ", 1.0), ("top_p", "1e-1", 0.1),
    ("top_k", "20", 20), ("top_k", -1, -1), ("max_tokens", "64", 64), ("max_tokens", 64.0, 64),
    ("max_tokens", "6.4e1", 64),
    ("stop", "END", "END"), ("stop", ["a", "b"], ["a", "b"]), ("temperature", "os.environ/LBT_HALF", 0.5),
    ("max_tokens", "os.environ/LBT_TEN", 10), ("top_k", "os.environ/LBT_TEN", 10),
]  # fmt: skip
BAD = [
    ("temperature", "warm"), ("temperature", -0.1), ("temperature", 2.5), ("temperature", math.nan),
    ("temperature", True),
    ("temperature", [0.5]), ("temperature", "os.environ/LBT_WORD"), ("top_p", 1.5), ("top_p", "-0.1"),
    ("top_p", math.inf),
    ("top_k", 1.5), ("top_k", -2), ("max_tokens", 0), ("max_tokens", "1.5"), ("max_tokens", True),
    ("max_tokens", math.inf),
    ("max_tokens", ""), ("stop", 5), ("stop", [1]), ("stop", True), ("stop", ""), ("timeout", "soon"), ("timeout", 0),
    ("timeout", -1), ("timeout", math.nan), ("timeout", False), ("num_retries", "often"), ("num_retries", -1),
    ("rpm", "many"),
    ("rpm", 0), ("tpm", 1.5), ("tpm", math.nan), ("n", 5), ("n", "2"), ("n", 0), ("n", "two"), ("best_of", 2),
    ("max_parallel_requests", "x"), ("weight", -1), ("max_completion_tokens", "all"), ("frequency_penalty", 3),
    ("input_cost_per_token", "free"), ("output_cost_per_token", -1), ("input_cost_per_token", math.nan),
    ("output_cost_per_token", math.inf), ("output_cost_per_token", True), ("cache_read_input_token_cost", "x"),
    ("input_cost_per_token_above_200k_tokens", -1e-6), ("extra_body", {"n": 3}), ("extra_body", {"max_tokens": -1}),
]  # fmt: skip


def file(tmp_path, name, value, info=None):
    import yaml

    params = {"model": "openai/m", "api_base": "http://h.test/v1", "api_key": "none", name: value}
    path = tmp_path / "c.yaml"
    entry = {"model_name": "a", "litellm_params": params, "model_info": info or {}}
    path.write_text(yaml.safe_dump({"model_list": [entry]}))
    return path


@pytest.fixture(autouse=True)
def _variables(monkeypatch):
    for name, value in (("LBT_HALF", "0.5"), ("LBT_TEN", "10"), ("LBT_WORD", "warm")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("name", "value", "found"), GOOD, ids=str)
def test_a_number_is_a_number_however_it_is_written(name, value, found, tmp_path):
    (lm,) = LMRoles(file(tmp_path, name, value)).lms(["a"])
    assert lm.kwargs[name] == found
    assert type(lm.kwargs[name]) is type(found)


@pytest.mark.parametrize(("name", "value"), BAD, ids=str)
def test_what_is_no_such_number_is_one_line_that_names_it(name, value, tmp_path):
    with pytest.raises(UserError) as caught:
        LMRoles(file(tmp_path, name, value)).lms(["a"])
    said = str(caught.value)
    assert "\n" not in said
    assert name in said
    assert "leave it out" in said or "in quotes" in said


def test_at_the_command_line_it_is_exit_code_2(tmp_path, capsys):
    path = file(tmp_path, "temperature", "warm")
    assert main(["--task", "fallacy", "--config", str(path), "--teacher", "a"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_null_setting_is_none(tmp_path):
    (lm,) = LMRoles(file(tmp_path, "temperature", None)).lms(["a"])
    assert lm.kwargs.get("temperature") is None


def test_prices_may_be_texts_as_yaml_reads_1e_6(tmp_path):
    info = {"input_cost_per_token": "1e-6", "output_cost_per_token": "0.5"}
    (lm,) = LMRoles(file(tmp_path, "max_tokens", 1, info)).lms(["a"])
    assert engine_of(lm).prices[0].most(1_000_000, 2) == pytest.approx(2.0)


def test_the_way_that_a_number_is_written_changes_no_key(tmp_path):
    """Else a run would not find what it has paid for."""
    one, other = (engine_of(LMRoles(file(tmp_path, "min_p", value)).lms(["a"])[0]).identity for value in (0.1, 0.1))
    assert one == other
    assert (
        '"frequency_penalty": "0.5"'
        in engine_of(LMRoles(file(tmp_path, "frequency_penalty", "0.5")).lms(["a"])[0]).identity
    )  # as versions before this one wrote it


@given(st.sampled_from(sorted(RANGES)), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8))
def test_whatever_is_written_is_a_number_in_range_or_refused(name, value):
    try:
        found = typed({name: value}, "here").get(name)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either of two outcomes is right
    else:
        assert found is None or RANGES[name].holds(found)
        assert not isinstance(found, bool)
