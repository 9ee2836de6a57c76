"""What a failed call means: may it be asked again, was it sent, could it have been billed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dspy import lm15

from lbt_dspy.lms.redaction import scrub

MAX_REASON = 200
EMPTY = "empty answer"
"""How the reason of a mark begins where a model wrote nothing."""
TOO_LONG = re.compile(
    r"(?i)context (length|window|size)|maximum (model|input|sequence) length|prompt is too long"
    r"|must have less than \d+ tokens"
)
"""How vLLM, SGLang, llama.cpp, TGI and others say it."""
TOO_LARGE = 413
FILTERED = re.compile(r"(?i)content.{0,20}(filter|policy)")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One failed attempt."""

    reason: str
    """Kind and message, scrubbed of anything secret."""
    kind: str = "other"
    """`timeout`, `context` (prompt too long), `content` (filtered) or `other`."""
    retry: bool = True
    """Asking again could help."""
    sent: bool = True
    """False: no request left this machine."""
    billed: bool = False
    """The provider may have charged for it: its worst case counts as spent."""
    rejected: bool = False
    """The provider refuses this model or key as such."""
    limited: bool = False
    """The server has too many requests, of this and other calls."""
    wait: float | None = None
    """Seconds that the provider asked to wait."""
    deployment: str | None = None
    """Which deployment of a router failed, by its id there."""


PROMPT_TOO_LONG = Fault(reason="prompt too long", kind="context", retry=False)
MEANINGS: tuple[tuple[tuple[type[BaseException], ...], Fault], ...] = (
    ((lm15.RateLimitError,), Fault(reason="rate limit", limited=True)),
    ((lm15.AuthError, lm15.BillingError), Fault(reason="access refused", retry=False, rejected=True)),
    ((lm15.UnsupportedModelError,), Fault(reason="unknown model", retry=False, rejected=True)),
    ((lm15.ContextLengthError,), PROMPT_TOO_LONG),
    (
        (lm15.ConfigurationError, lm15.CapabilityError, lm15.InvalidRequestError),
        Fault(reason="request refused", retry=False, rejected=True),
    ),
    ((lm15.TimeoutError, TimeoutError), Fault(reason="timeout", kind="timeout", billed=True)),
    ((lm15.ServerError,), Fault(reason="server error", billed=True)),
    ((lm15.TransportError, OSError), Fault(reason="connection failed", billed=True)),
    ((lm15.LM15Error, ValueError), Fault(reason="malformed reply", billed=True)),
)
"""The first row that fits decides: specific classes stand before their parents."""


def fault_of(error: BaseException, secrets: tuple[str, ...] = ()) -> Fault:
    """Classify an exception of an engine; LiteLLM's are turned into DSPy's by the engine before."""
    whole = scrub(str(getattr(error, "message", None) or error), secrets)
    message = whole[:MAX_REASON]
    if isinstance(error, NotSent):
        return Fault(reason=f"no deployment free: {message}", sent=False, wait=error.wait)
    if isinstance(error, CannotSend):
        return Fault(reason=f"nothing can be sent: {whole}", retry=False, sent=False, rejected=True)
    if isinstance(error, NoReply):
        return Fault(reason=f"no reply: {message}", retry=False)
    meaning = _meaning_of(error, whole)
    wait, deployment = (getattr(error, name, None) for name in ("retry_after", "deployment"))
    return replace(meaning, reason=f"{meaning.reason}: {message}", wait=wait, deployment=deployment)


def _meaning_of(error: BaseException, message: str) -> Fault:
    if isinstance(error, lm15.InvalidRequestError):
        if FILTERED.search(message):
            return Fault(reason="content filter", kind="content")
        if error.status == TOO_LARGE or TOO_LONG.search(message):
            return PROMPT_TOO_LONG
    known = (meaning for kinds, meaning in MEANINGS if isinstance(error, kinds))
    return next(known, Fault(reason=type(error).__name__, retry=False, billed=True))


class NotSent(Exception):  # noqa: N818 - a state, not an error: the call waits and is tried again
    """A router had no deployment to send the request to; nothing was sent."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class CannotSend(Exception):  # noqa: N818 - a state, not an error of the request
    """No request to this model can be sent from this process, now or later; nothing was sent."""


class NoReply(Exception):  # noqa: N818 - a state, not an error: this call is lost, others go on
    """A model has no reply to this request, and never will have; also models in this process may say so."""
