"""Why a model stopped writing, under all the names that servers have for it."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping

STOP, LENGTH, FILTERED, ERROR = "stop", "length", "content_filter", "error"

_TABLE = (
    (
        FILTERED,
        r"filter|safety|recitation|prohibit|block(list|ed)|guardrail|refus|spii|sensitive|moderat|toxic|policy|violat"
        r"|censor|flagged|harm|copyright|unsafe|^language$",
    ),
    (
        ERROR,
        r"error|^err|abort|cancel|fail|malformed|unexpected|invalid|exception|interrupt|insufficient|unavailable|quota"
        r"|overload|timed?(out|limit)|ratelimit|toomany|missing|crash|disconnect|kill|preempt|reject|expired|shutdown",
    ),
    (
        LENGTH,
        r"length|max\w*(token|output|len)|limit|truncat|incomplete|(un|not)finished|cutoff|outoftokens|contextwindow"
        r"|pauseturn|continuation|compaction",
    ),
    (
        STOP,
        r"^(stop|end|eo[sdt]|imend|complet|done|finish|final|normal|natural|success|ok$|matched|tool|function)"
        r"|stop(sequence|word|token|string)|alternativestatusfinal",
    ),
)
"""What is looked for in a name of small letters alone; the first row that fits decides."""
_PREFIX = re.compile(r"^(?:finish|stop|done|end|completion)?(?:reason|details)")
_UNSAID = ("", "null", "none", "nil", "unspecified", "unknown")


def finish_of(reason: object, text: str) -> str:
    """Return why a reply ended: `stop` (complete), `length` (cut), `content_filter` or `error`.

    Capital letters, dashes and the like do not matter. What is not said is `stop`. A reason that nobody knows is named
    in one warning, and is `stop` where there is a text; without a text it is an `error`, since nothing tells a model
    that has nothing to say from a server that failed.

    Args:
        reason: As the server has it; some have a mapping with a `type`.
        text: What was written.
    """
    if isinstance(reason, Mapping):
        reason = next((reason[key] for key in ("type", "reason", "name") if reason.get(key)), None)
    name = _PREFIX.sub("", re.sub(r"[\W_]", "", str(reason or "").rpartition(".")[2].casefold()))
    if name in _UNSAID:
        return STOP
    known = _known(name)
    if known is None:
        _warn(str(reason))
        return STOP if text.strip() else ERROR
    return known


@functools.lru_cache(maxsize=1024)
def _known(name: str) -> str | None:
    return next((meaning for meaning, pattern in _TABLE if re.search(pattern, name)), None)


@functools.lru_cache(maxsize=1024)
def _warn(reason: str) -> None:
    """Warn once of each name."""
    logging.getLogger(__name__).warning(
        "a reply ended for the unknown reason %r: with a text it is taken as complete, without one as not measured",
        reason[:60],
    )
