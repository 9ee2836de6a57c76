"""Bodies of replies as servers write them, right and wrong, and what either client makes of the same bytes."""

import json

from aiohttp import web
from dspy import lm15
from hypothesis import strategies as st
from recording_server import YES

from lbt_dspy.lms.faults import fault_of
from lbt_dspy.lms.user_lm import engine_of

NO = YES.replace("Yes", "No")
QUESTION = lm15.Request(model="m", messages=(lm15.Message.user("x"),))
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def body(content=YES, finish="stop", usage=USAGE, message=None, **choice):
    """A reply of one choice; `message` has more fields of its message, and further ones are the choice's."""
    said = {"role": "assistant", "content": content, **(message or {})}
    choices = [{"index": 0, "message": said, "finish_reason": finish, **choice}]
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


def sent(reply, status=200, content_type="application/json"):
    """The reply as a server sends it: bytes as they are, anything else as JSON."""
    raw = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return web.Response(body=raw, status=status, content_type=content_type)


def outcome(lm, request=QUESTION):
    """What one request comes to: an answer's fields, or what the fault means."""
    engine = engine_of(lm)
    try:
        answer = engine.answer(request)
    except Exception as error:
        fault = fault_of(error, engine.secrets)
        return "fault", fault.kind, fault.retry, fault.billed, fault.rejected
    return answer


def mostly(usual, *others):
    return st.one_of(usual, usual, usual, *others)


texts = st.sampled_from(
    [
        YES, NO, "", " ", "Yes", '{"label": "Yes"}', f"<think>\n{NO}\n</think>\n\n{YES}", f"{NO}\n</think>\n\n{YES}",
        f"<think>\n{NO}", f"<THINKING>{NO}</THINKING>{YES}", f"[THINK]{NO}[/THINK]{YES}", f"◁think▷{NO}◁/think▷{YES}",
        "The `</think>` tag", "a\ud83db", "\x00", "<budget:thinking>x</budget:thinking>", "<think></think>",
    ]
)  # fmt: skip
parts = st.lists(
    st.one_of(
        texts,
        st.builds(lambda t: {"type": "text", "text": t}, texts),
        st.builds(lambda t: {"type": "thinking", "thinking": [{"type": "text", "text": t}]}, texts),
        st.builds(lambda t: {"type": "refusal", "refusal": t}, texts),
        st.sampled_from(
            [{"type": "text", "text": None}, {"type": "image_url"}, {}, {"text": {"value": "Yes"}}, None, 3]
        ),
    ),
    max_size=3,
)
contents = mostly(texts, parts, st.sampled_from([None, 0, 5, True, {}, {"type": "text", "text": YES}]))
thoughts = st.one_of(st.none(), texts, parts)
tools = st.sampled_from(
    [None, [], [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}], [{}], "x"]
)
messages = st.one_of(
    st.fixed_dictionaries(
        {"content": contents},
        optional={"role": st.sampled_from(["assistant", None]), "reasoning_content": thoughts, "reasoning": thoughts,
                  "refusal": st.sampled_from([None, "", "I will not."]), "tool_calls": tools},
    ),
    st.sampled_from([None, {}, "Yes", []]),
)  # fmt: skip
finishes = mostly(
    st.just("stop"),
    st.sampled_from(
        [
            "STOP", "end_turn", "eos_token", "tool_calls", "length", "MAX_TOKENS", "max-tokens", "content_filter",
            "SAFETY", "error", "abort", "network_error", "cancelled", "odd", "", None, {"type": "length"}, 0, 7, [],
        ]
    ),
)  # fmt: skip
errors = st.sampled_from(
    [
        None, {}, "", False, {"message": "", "code": None}, "overloaded", {"message": "x", "code": 502}, {"code": 429},
        {"message": "no", "code": 401}, {"message": "x", "code": "server_error"}, ["x"], {"message": {"a": 1}},
    ]
)  # fmt: skip
counts = st.sampled_from(
    [0, 1, 7, 12.0, 5.5, -3, None, "many", [], 1e400]
)  # OpenAI's SDK makes numbers of "7" and True
usages = mostly(
    st.just(USAGE),
    st.none(),
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts,
                  "prompt_tokens_details": st.one_of(st.none(), st.fixed_dictionaries({"cached_tokens": counts}))},
    ),
    st.sampled_from(["none", 5, []]),
)  # fmt: skip
tokens = st.sampled_from(
    [{"token": "Yes", "logprob": -0.5, "top_logprobs": []}, {"token": "Yes", "logprob": None}, {"logprob": -1.0}, None]
)
logprobs = st.one_of(
    st.sampled_from([None, {}, {"content": None}, [], {"tokens": ["a"]}]),
    st.fixed_dictionaries({"content": st.lists(tokens, max_size=2)}),
)
choices = mostly(
    st.fixed_dictionaries(
        {"message": messages, "finish_reason": finishes},
        optional={"index": st.sampled_from([0, 1, None]), "error": errors, "logprobs": logprobs, "text": texts},
    ),
    st.sampled_from([None, {}, "x", {"text": YES, "finish_reason": "stop"}]),
)
bodies = mostly(
    st.fixed_dictionaries(
        {"choices": mostly(st.lists(choices, min_size=1, max_size=2), st.none(), st.just([]), st.just("x"))},
        optional={"usage": usages, "error": errors, "id": st.sampled_from(["x", None]), "object": st.sampled_from(
            ["chat.completion", None, "error"]), "message": st.just("said")},
    ),
    st.sampled_from([{}, {"detail": "Not Found"}, {"error": {"message": "x"}}, {"object": "error", "code": 503}]),
)  # fmt: skip
