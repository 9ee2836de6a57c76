"""A callback that cannot work is refused before any call."""

import importlib.util

import pytest

from lbt_dspy import LMRoles, UserError
from lbt_dspy.lms.litellm.callbacks import with_callbacks
from lbt_dspy.lms.litellm.private import callback_names


def fleet(tmp_path, settings):
    path = tmp_path / "c.yaml"
    path.write_text(
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/m, api_base: 'http://h.test/v1', api_key: none}}\n"
        f"litellm_settings: {{{settings}}}"
    )
    return path


UNKNOWN = [
    "success_callback: [langfus]", "failure_callback: [nobody]", "callbacks: nobody", "callbacks: [my_module.handler]",
    "success_callback: [3]", "success_callback: [null]", "callbacks: [{a: b}]", "success_callback: ['']",
]  # fmt: skip


@pytest.mark.parametrize("settings", UNKNOWN)
def test_a_callback_of_an_unknown_name(settings, tmp_path):
    with pytest.raises(UserError, match="which LiteLLM does not know; leave it out") as caught:
        LMRoles(fleet(tmp_path, settings)).lms(["a"])
    assert "\n" not in str(caught.value)


PACKAGES = {"langfuse": "langfuse", "sentry": "sentry_sdk", "slack": "slack_bolt", "supabase": "supabase",
            "wandb": "wandb", "prometheus": "prometheus_client", "traceloop": "traceloop",
             "lunary": "lunary"}  # fmt: skip


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("setting", ["success_callback: [{}]", "failure_callback: {}", "callbacks: [{}]"])
def test_a_callback_whose_package_is_missing(name, setting, tmp_path):
    if importlib.util.find_spec(PACKAGES[name]):
        pytest.skip("it is installed here")
    with pytest.raises(UserError, match=rf"{name} (cannot be used here|needs)") as caught:
        LMRoles(fleet(tmp_path, setting.format(name))).lms(["a"])
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_name_in_place_of_a_list_is_a_list():
    assert with_callbacks({"drop_params": True, "callbacks": []}) == {"drop_params": True, "callbacks": []}
    assert {"langfuse", "otel", "s3"} <= callback_names()
