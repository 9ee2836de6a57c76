"""What a failed call means: may it be asked again, was it sent, could it have been billed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dspy import lm15

MAX_REASON = 200
SECRET = re.compile(
    r"(?i)(bearer\s+|api[-_ ]?key\W{1,4}|authorization\W{1,4}|token\W{1,4}|://[^/\s:@]+:)[^\s'\",;)}@]+"
    r"|\b(sk|pk|rk|key|hf|gsk|xai)[-_][\w*-]{6,}"
)


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
    wait: float | None = None
    """Seconds that the provider asked to wait."""


def scrub(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return one line without keys: the given ones, and whatever looks like one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = SECRET.sub(lambda match: f"{match.group(1) or ''}***", text)
    return " ".join(text.split())


def fault_of(error: BaseException, secrets: tuple[str, ...] = ()) -> Fault:
    """Classify an exception of an engine; LiteLLM's are turned into DSPy's by the engine before."""
    message = scrub(str(getattr(error, "message", None) or error), secrets)[:MAX_REASON]
    wait = getattr(error, "retry_after", None)
    if isinstance(error, NotSent):
        return Fault(reason=f"no deployment free: {message}", sent=False, wait=error.wait)
    if isinstance(error, lm15.RateLimitError):
        return Fault(reason=f"rate limit: {message}", wait=wait)
    if isinstance(error, (lm15.AuthError, lm15.BillingError)):
        return Fault(reason=f"access refused: {message}", retry=False, rejected=True)
    if isinstance(error, lm15.UnsupportedModelError):
        return Fault(reason=f"unknown model: {message}", retry=False, rejected=True)
    if isinstance(error, lm15.ContextLengthError):
        return Fault(reason=f"prompt too long: {message}", kind="context", retry=False)
    if isinstance(error, (lm15.ConfigurationError, lm15.CapabilityError)):
        return Fault(reason=f"request refused: {message}", retry=False, rejected=True)
    if isinstance(error, lm15.InvalidRequestError):
        refused = "content" in message.lower() and ("filter" in message.lower() or "policy" in message.lower())
        kind = "content" if refused else "other"
        return Fault(reason=f"request refused: {message}", kind=kind, retry=refused, rejected=not refused)
    if isinstance(error, (lm15.TimeoutError, TimeoutError)):
        return Fault(reason=f"timeout: {message}", kind="timeout", billed=True)
    if isinstance(error, (lm15.ServerError, lm15.TransportError, lm15.ProviderError, lm15.LM15Error, OSError)):
        return Fault(reason=f"{type(error).__name__}: {message}", billed=True, wait=wait)
    if isinstance(error, ValueError):  # a body that is no JSON, or JSON of another shape
        return Fault(reason=f"malformed reply: {message}", billed=True)
    return Fault(reason=f"{type(error).__name__}: {message}", retry=False, billed=True)


class NotSent(Exception):  # noqa: N818 - a state, not an error: the call waits and is tried again
    """A router had no deployment to send the request to; nothing was sent."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait
