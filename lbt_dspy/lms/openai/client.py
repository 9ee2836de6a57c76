"""A lean client for servers that speak OpenAI's chat API: vLLM, and whatever a user names with an address.

One pool of kept connections serves all models. Of a prompt only the last message is written anew for each request; what
all questions of an exam share is written once. Retries, journal and budget are the ledger's, as for every engine.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import dspy
from dspy import lm15
from dspy.lm15 import OpenAIChatLM, Request

from lbt_dspy.dspy_private import retry_after_seconds
from lbt_dspy.lms.config import CONNECTION_SETTINGS, EXECUTION_SETTINGS, REQUEST_TIMEOUT, Deployment
from lbt_dspy.lms.deployed import OPENAI_CHAT, SCORING, DeployedEngine, asks_litellm, provider_of
from lbt_dspy.lms.engine import Answer
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.fleet.prices import Price
from lbt_dspy.lms.fleet.resting import Rest
from lbt_dspy.lms.openai.bodies import OUTPUT_LIMIT, REASONING_LIMIT, ChatBodies
from lbt_dspy.lms.openai.session import http_session
from lbt_dspy.lms.redaction import identity_of, secrets_of
from lbt_dspy.lms.replies.chat import read_reply

SECRET_LENGTH = 4
"""Shorter keys are none (`x`, `-`), and stand in ordinary words."""
REFUSING = (401, 403, 404, 429)
"""What a server says to whatever it is asked: no other request would fare better."""
ADDRESSES = ("api_base", "base_url")
TAKEN = {"model", *ADDRESSES, "api_key", "timeout", "extra_headers", "headers", "extra_body"}
"""The settings of a deployment that this client understands; it leaves others to LiteLLM."""


def why_not(deployment: Deployment) -> str | None:
    """Return why this client cannot ask a deployment; `None`: it can."""
    if provider_of(deployment) not in OPENAI_CHAT:
        return f"its provider is {provider_of(deployment)}"
    if not _address(deployment.params):
        return "it has no address"
    other = sorted(set(deployment.params) - TAKEN)
    if other:
        return f"its setting {other[0]} is LiteLLM's"
    return None if _seconds(deployment.params.get("timeout")) else "its timeout is no number of seconds"


def lean_engine(lm: dspy.LM) -> OpenAICompatible | None:
    """Return the engine that asks a `dspy.LM` of the user's own through this client; `None` where it cannot.

    It can where the LM left the choice of its engine to DSPy.
    """
    kept = CONNECTION_SETTINGS - EXECUTION_SETTINGS
    connection = {k: v for k, v in lm.kwargs.items() if v is not None and k in kept}
    deployment = Deployment(name=lm.model, params={"model": lm.model, **connection})
    if lm.engine != "auto" or lm.model_type != "chat" or type(lm) is not dspy.LM or why_not(deployment):
        return None
    if asks_litellm(lm):
        return None
    return OpenAICompatible(lm.model, [deployment], secrets=secrets_of(lm), identity=identity_of(lm))


class OpenAICompatible(DeployedEngine):
    """A model at one or more addresses that speak OpenAI's chat API.

    A request goes to the address with the fewest requests in flight, so one that turns slow gets less; one that failed
    rests (see `Rest`), and a retry goes elsewhere, while there are others.

    Args:
        name: Under which replies are counted.
        deployments: The endpoints; `why_not` is `None` for each.
        identity: Under which replies are journalled; `None`: made of the endpoints.
        secrets: Texts that must never be written anywhere.
    """

    def __init__(
        self, name: str, deployments: Sequence[Deployment], *, secrets: tuple[str, ...], identity: str | None = None
    ) -> None:
        keys = tuple(key for key in map(_key, deployments) if len(key) >= SECRET_LENGTH)
        super().__init__(name, deployments, secrets=tuple(dict.fromkeys((*secrets, *keys))), identity=identity)
        self._servers = [
            _Server(d, i, price) for i, (d, price) in enumerate(zip(deployments, self.prices, strict=True))
        ]
        self._bodies = ChatBodies(OUTPUT_LIMIT if self.takes_temperature else REASONING_LIMIT)
        self._turn = 0

    async def ask(self, request: Request, faults: Sequence[Fault] = (), choices: int = 1) -> list[Answer]:
        """Send the request once, to the server that has least to do."""
        server = self._pick(faults)
        return server.read(await server.post(self._bodies.of(request), choices))

    async def scored(self, request: Request, faults: Sequence[Fault]) -> tuple[Sequence[Any], Answer]:
        """Send the request once, its last message given and not asked for."""
        server = self._pick(faults)
        reply = await server.post(self._bodies.of(request, SCORING), 1)
        return reply.get("prompt_logprobs") or (), server.read(reply)[0]

    def may_retry(self, faults: Sequence[Fault]) -> bool:
        """Return whether asking again could help; what one server refuses, another one may take."""
        return super().may_retry(faults) or self._others_left(faults)

    def _others_left(self, faults: Sequence[Fault]) -> bool:
        refused = {fault.deployment for fault in faults if fault.deployment is not None}
        return faults[-1].rejected and 0 < len(refused) < len(self._servers)

    def _pick(self, faults: Sequence[Fault]) -> _Server:
        failed = {fault.deployment for fault in faults}
        fresh = [server for server in self._servers if server.name not in failed] or self._servers

        awake = [server for server in fresh if server.rest.awake(server.in_flight)] or fresh
        self._turn += 1
        return min(awake, key=lambda server: (server.in_flight, (server.number - self._turn) % len(self._servers)))


class _Server:
    """One endpoint."""

    def __init__(self, deployment: Deployment, number: int, price: Price | None) -> None:
        params = deployment.params
        self.number = number
        self.name = str(number)
        self.in_flight = 0
        self.rest = Rest()
        self._price = price
        self._url = f"{_address(params).rstrip('/')}/chat/completions"
        self._proxy = _proxy(self._url)
        self._timeout = aiohttp.ClientTimeout(total=_seconds(params.get("timeout")))
        key = _key(deployment)
        self._headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {key}"} if key else {}),
            **(params.get("headers") or {}),
            **(params.get("extra_headers") or {}),
        }
        model = str(params["model"]).removeprefix(f"{provider_of(deployment)}/")
        self._start = json.dumps({"model": model, **(params.get("extra_body") or {})})[:-1]

    async def post(self, body: str, choices: int) -> dict[str, Any]:
        """Send a request and return the reply's body."""
        several = f', "n": {choices}' if choices > 1 else ""
        self.in_flight += 1
        try:
            async with http_session().post(
                self._url,
                data=f"{self._start}{several}, {body}".encode(),
                headers=self._headers,
                timeout=self._timeout,
                proxy=self._proxy,
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.rest.failed()
            raise self._named(_translated(error)) from None
        finally:
            self.in_flight -= 1
        if not 200 <= response.status < 300:
            raise self._failed(response.status, raw, response.headers)
        try:
            reply = json.loads(raw)
        except (ValueError, RecursionError):
            self.rest.failed()
            raise self._named(lm15.ProviderError(f"no JSON: {raw[:80]!r}")) from None
        self.rest.answered()
        return reply if isinstance(reply, dict) else {}

    def read(self, reply: Mapping[str, Any]) -> list[Answer]:
        """Return the choices; see `read_reply`."""
        try:
            return read_reply(reply, self._price)
        except lm15.LM15Error as error:
            raise self._named(error) from None

    def _failed(self, status: int, raw: bytes, headers: Mapping[str, str]) -> Exception:
        """Return the error that a status means."""
        error = OpenAIChatLM(api_key="none").normalize_error(status, _in_envelope(raw.decode("utf-8", "replace")))
        if status in REFUSING or status >= 500:
            self.rest.failed()
        error.retry_after = retry_after_seconds(headers.get("Retry-After"))
        return self._named(error)

    def _named(self, error: Exception) -> Exception:
        error.deployment = self.name  # type: ignore[attr-defined]
        return error


def _translated(error: Exception) -> Exception:
    """Return DSPy's error for a failure of the connection."""
    kind = lm15.TimeoutError if isinstance(error, TimeoutError) else lm15.TransportError
    translated: Exception = kind(f"{type(error).__name__} {error}".strip())
    return translated


def _key(deployment: Deployment) -> str:
    """Return the key of an endpoint, from the environment where it is not given; "" where there is none."""
    named = deployment.params.get("api_key")
    if named or deployment.keyless:
        return str(named or "")
    return os.environ.get(f"{provider_of(deployment).upper()}_API_KEY") or ""


def _address(params: Mapping[str, Any]) -> str:
    provider = str(params["model"]).split("/")[0]
    named = next((params[name] for name in ADDRESSES if params.get(name)), None)
    return str(named or os.environ.get(f"{provider.upper()}_API_BASE") or "")


def _seconds(timeout: Any) -> float | None:
    try:
        seconds = REQUEST_TIMEOUT if timeout is None else float(timeout)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < math.inf else None


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _in_envelope(body: str) -> str:
    """Return the body of an error as OpenAI writes it; some servers leave out the envelope, or the message."""
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(body)
        if isinstance(data, dict) and "error" not in data:
            return json.dumps({"error": {"message": body, **data}})
    return body
