"""The body of a reply as OpenAI's chat API has it, and as the many servers have it that speak it nearly.

Both clients read what a server sent by this one reader, so that the same bytes mean the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dspy import lm15
from dspy.lm15 import OpenAIChatLM

from lbt_dspy.lms.engine import Answer, beside_text
from lbt_dspy.lms.faults import EMPTY
from lbt_dspy.lms.fleet.prices import Priced
from lbt_dspy.lms.logprobs import encode
from lbt_dspy.lms.redaction import scrub
from lbt_dspy.lms.replies.finish import ERROR, finish_of
from lbt_dspy.lms.replies.thoughts import answer_in, with_thoughts
from lbt_dspy.lms.replies.usage import cached_of, cost_of, tokens_of

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks", "thought")
"""Where servers put thoughts beside the content; they say the same where there are several."""
SHOWN = 120
"""Characters of a text that a reason shows."""


def read_reply(body: Any, price: Priced | None) -> list[Answer]:
    """Return the choices of a reply that came with a status of success; the first bears the tokens and cost of all.

    Args:
        body: The JSON.
        price: Of the deployment; `None`: unknown.

    Raises:
        LM15Error: The body says that the request failed, or holds no choice that can be read.
    """
    body = body if isinstance(body, Mapping) else {}
    failed = {"error": body} if body.get("object") == "error" else body
    if _error_in(failed) is not None:
        raise _error(failed["error"])
    try:
        choices = sorted(body["choices"], key=lambda choice: choice.get("index") or 0)
        answers = [_answer(choice) for choice in choices]
        tokens = tokens_of(body.get("usage"), wrote=any(answer.text for answer in answers))
        counted = tokens or (0, 0, 0)
        answers[0] = answers[0]._replace(
            input_tokens=counted[0], output_tokens=counted[1], cost=cost_of(tokens, price),
            cached_tokens=cached_of(body.get("usage")),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError):
        said = body.get("message") or body.get("detail") or json.dumps(body, sort_keys=True, default=str)
        raise lm15.ProviderError(f"no chat completion: {str(said)[:SHOWN]}") from None
    return answers


def _error(said: Any) -> Exception:
    """Return the error that a body tells of, as if its code had been the status."""
    code = said.get("code") if isinstance(said, Mapping) else None
    status = int(str(code)) if re.fullmatch("[45][0-9][0-9]", str(code)) else 500
    envelope = {"error": said if isinstance(said, Mapping) else {"message": str(said)}}
    error: Exception = OpenAIChatLM(api_key="none").normalize_error(status, json.dumps(envelope, default=str))
    return error


def _error_in(holder: Mapping[str, Any]) -> str | None:
    """Return what an `error` says; `None` where there is none, or an empty one, as beside good answers of some."""
    error = holder.get("error")
    if isinstance(error, Mapping):
        words = [error.get(name) for name in ("message", "code", "type", "status")]
        return " ".join(str(word) for word in words if word) or None
    return str(error) if error else None


def _answer(choice: Mapping[str, Any]) -> Answer:
    own = choice.get("provider_specific_fields") or {}
    failed = _error_in(choice) or _error_in(own)
    if failed is not None:
        return Answer("", ERROR, reason=f"server error: {scrub(failed)[:SHOWN]}")
    message = choice["message"] if choice.get("message") is not None else {"content": choice["text"]}
    text, thoughts = _texts(message.get("content"))
    thoughts = thoughts or next(filter(None, (_thoughts(message.get(name)) for name in THOUGHTS)), "")
    reason = choice.get("finish_reason") or choice.get("finish_details")
    if reason == "stop":  # as LiteLLM calls all that it does not know; the provider's own word stands beside it
        reason = own.get("native_finish_reason") or reason
    finish = finish_of(reason, answer_in(text))
    why = f"server error: it ended with {str(reason)[:SHOWN]!r}" if finish == ERROR else None
    if not text.strip() and finish != ERROR:
        why = _why_empty(message)
    whole = with_thoughts(thoughts, text) if thoughts.strip() else text
    beside = beside_text(message)
    return Answer(whole, finish, cost=0.0, logprobs=_logprobs(choice), reason=why, beside=beside)


def _why_empty(message: Mapping[str, Any]) -> str | None:
    """Return where a text went, other than into thoughts."""
    refusal = message.get("refusal") or _part(message.get("content"), "refusal")
    if refusal:
        return f"{EMPTY}: the model refused: {scrub(str(refusal))[:SHOWN]}"
    called = message.get("tool_calls") or message.get("function_call")
    return f"{EMPTY}: it called a tool and wrote no text" if called else None


def _texts(content: Any) -> tuple[str, str]:
    """Return the text of a content, and its thoughts; some have it in parts.

    Raises:
        TypeError: It is neither a text nor parts.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    parts = [content] if isinstance(content, Mapping) else content
    if not isinstance(parts, list) or not all(isinstance(part, str | Mapping) for part in parts):
        raise TypeError("content must be a text or parts")
    texts = [_text(part) for part in parts if not _is_thought(part)]
    return "".join(texts), _thoughts([part for part in parts if _is_thought(part)])


def _is_thought(part: Any) -> bool:
    if isinstance(part, str):
        return False
    return part.get("thought") is True or re.search("think|thought|reason", str(part.get("type"))) is not None


def _text(part: Any) -> str:
    """Return the text of a part; "" where it is something else, such as a picture."""
    if isinstance(part, str):
        return part
    text = part.get("text")
    return _text(text.get("value", text)) if isinstance(text, Mapping) else text if isinstance(text, str) else ""


def _thoughts(value: Any) -> str:
    """Return the texts in thoughts of any shape."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        named = (value.get(name) for name in ("thinking", "reasoning", "text", "summary", "content"))
        return next(filter(None, map(_thoughts, named)), "")
    return "\n".join(filter(None, map(_thoughts, value))) if isinstance(value, list) else ""


def _part(content: Any, kind: str) -> Any:
    """Return what the first part of a kind holds under its name."""
    parts = content if isinstance(content, list) else []
    return next((part.get(kind) for part in parts if isinstance(part, Mapping) and part.get(kind)), None)


def _logprobs(choice: Mapping[str, Any]) -> str | None:
    """Return the log-probabilities of a choice; `None` where there are none that can be read."""
    try:
        return encode(map(_token, choice["logprobs"]["content"])) if choice["logprobs"]["content"] else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _token(listed: Mapping[str, Any]) -> tuple[str, float, Mapping[str, float]]:
    top: Sequence[Mapping[str, Any]] = listed.get("top_logprobs") or ()
    return _name(listed), _number(listed), {_name(other): _number(other) for other in top}


def _name(listed: Mapping[str, Any]) -> str:
    if not isinstance(listed["token"], str):
        raise TypeError("a token must be a text")
    return listed["token"]


def _number(listed: Mapping[str, Any]) -> float:
    number = float(listed["logprob"])
    if math.isnan(number) or number == math.inf:
        raise ValueError("a log-probability must be a number")
    return number
