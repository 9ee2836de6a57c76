"""Why replies end, by all the names that servers have for it."""

import logging

import pytest

from lbt_dspy.lms.replies import finish
from lbt_dspy.lms.replies.finish import ERROR, FILTERED, LENGTH, STOP, finish_of

NAMES = {
    STOP: "stop STOP Stop end_turn endTurn end-of-turn stop_sequence stop_str stopped_word eos EOS eos_token endoftext "
    "end_of_text COMPLETE complete completed finish finished normal success done tool_calls tool_use TOOL_CALL "
    "function_call matched_stop FinishReason.STOP FINISH_REASON_STOP REASON_STOP ALTERNATIVE_STATUS_FINAL "
    "null None unspecified FINISH_REASON_UNSPECIFIED",
    LENGTH: "length Length LENGTH max_tokens MAX_TOKENS max-tokens maxTokens max_output_tokens max_new_tokens "
    "model_length model_context_window_exceeded context_length_exceeded token_limit incomplete not_finished truncated "
    "stopped_limit pause_turn FinishReason.MAX_TOKENS REASON_MAX_LEN ALTERNATIVE_STATUS_TRUNCATED_FINAL",
    FILTERED: "content_filter content-filter contentFilter content_filtered CONTENT_FILTERED SAFETY IMAGE_SAFETY "
    "RECITATION PROHIBITED_CONTENT BLOCKLIST SPII LANGUAGE refusal guardrail_intervened sensitive moderation blocked "
    "ERROR_TOXIC content_policy_violation ALTERNATIVE_STATUS_CONTENT_FILTER",
    ERROR: "error ERROR Error abort aborted cancelled canceled network_error failed server_error timeout time_limit "
    "malformed_function_call MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL insufficient_system_resource "
    "rate_limit interrupted TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE",
}
CASES = [(name, meaning) for meaning, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize(("name", "meaning"), CASES)
@pytest.mark.parametrize("text", ["Yes", ""])
def test_what_a_name_means(name, meaning, text, caplog):
    assert finish_of(name, text) == meaning
    assert not caplog.records


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (None, STOP), ("", STOP), (0, STOP), ({}, STOP), ([], STOP), ({"type": "stop", "stop": "x"}, STOP),
        ({"type": "length", "length": 3}, LENGTH), ({"reason": "abort"}, ERROR), ({"type": None}, STOP),
    ],
)  # fmt: skip
def test_what_is_no_name(reason, meaning):
    assert finish_of(reason, "Yes") == finish_of(reason, "") == meaning


@pytest.mark.parametrize("reason", ["feierabend", "other", "load", 7, ["x"], "停止"])
def test_an_unknown_name_is_told_once(reason, caplog):
    finish._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert [finish_of(reason, text) for text in ("Yes", "No", "", " ")] == [STOP, STOP, ERROR, ERROR]
    assert len(caplog.records) == 1
    assert repr(str(reason)) in caplog.text
