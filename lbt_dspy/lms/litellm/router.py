"""A LiteLLM Router behind the library's engine contract: load balancing, cooldowns, rate limits, prices.

Each `answer` is one HTTP request: the Router's own retries and fallbacks are off, and this engine turns to the
configured fallbacks itself, so that every request is counted and paid through the ledger.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from dspy import lm15
from dspy.lm15 import Request

from lbt_dspy.dspy_private import chat_body, lm15_error, retry_after_seconds
from lbt_dspy.errors import UserError
from lbt_dspy.lms.config import REQUEST_TIMEOUT, Deployment, LMConfig
from lbt_dspy.lms.deployed import SCORING, DeployedEngine
from lbt_dspy.lms.engine import Answer
from lbt_dspy.lms.faults import CannotSend, Fault, NotSent
from lbt_dspy.lms.fleet.prices import Dearest
from lbt_dspy.lms.fleet.resting import Rest
from lbt_dspy.lms.litellm.callbacks import with_callbacks
from lbt_dspy.lms.litellm.private import (
    Heard,
    cooldown_of,
    deployment_of,
    failed_deployment,
    hush,
    is_forked,
    response_header,
    routing,
)
from lbt_dspy.lms.litellm.routes import fallbacks_of
from lbt_dspy.lms.litellm.setup import litellm
from lbt_dspy.lms.redaction import scrub
from lbt_dspy.lms.replies.chat import read_reply

FAULTS_BEFORE_FALLBACK = 2
COOLDOWN_SECONDS = 1.0
COOLING = {"disable_cooldowns", "cooldown_time", "allowed_fails", "allowed_fails_policy"}
"""Settings with which a YAML says itself how long a deployment that failed is left alone."""
NO_KEY = {"api_key": "none"}
"""Where none is given, LiteLLM takes that of the environment."""
FORKED = (
    "this process was forked from one that had asked models through LiteLLM, which cannot go on after that; start "
    "processes with spawn or forkserver, or ask servers that have an address with the client lean"
)


def with_id(deployment: Deployment) -> Deployment:
    """Return a deployment under an id, by which a Router names it; ids of different Routers differ."""
    return replace(deployment, info={**deployment.info, "id": str(deployment.info.get("id") or uuid.uuid4().hex)})


def make_router(config: LMConfig, deployments: Sequence[Deployment]) -> litellm.Router:
    """Return a Router over the deployments, which must be usable.

    Raises:
        UserError: A setting is unknown to LiteLLM.
    """
    hush()
    for name in config.litellm_settings:
        if not hasattr(litellm, name):
            raise UserError(f"litellm_settings has the unknown setting {name!r}; remove it or mend its spelling")
    for name, value in with_callbacks(config.litellm_settings).items():
        setattr(litellm, name, value)
    settings = dict(config.router_settings)
    settings.setdefault("timeout", REQUEST_TIMEOUT)
    settings.setdefault("cooldown_time", COOLDOWN_SECONDS)
    if len({d.name for d in deployments}) == len(deployments):
        settings.setdefault("disable_cooldowns", True)  # nowhere else to go: the ledger's own waits are enough
    try:
        return litellm.Router(
            model_list=[
                {
                    "model_name": d.name,
                    "litellm_params": {**d.params, **(NO_KEY if d.keyless else {}), "max_retries": 0, "num_retries": 0},
                    "model_info": dict(d.info),
                }
                for d in deployments
            ],
            num_retries=0,
            **settings,
        )
    except Exception as error:  # LiteLLM raises TypeError, ValueError and plain Exception here
        raise UserError(f"LiteLLM refuses the configuration: {scrub(str(error), config.secrets)[:200]}") from None


class RouterEngine(DeployedEngine):
    """One model name of a Router.

    Args:
        name: The `model_name`.
        router: Holds the deployments of this name and of its fallbacks.
        config: Names the fallbacks and the secrets.
        deployments: All deployments of the Router, with ids.
    """

    def __init__(self, name: str, router: litellm.Router, config: LMConfig, deployments: Sequence[Deployment]) -> None:
        self._router = router
        self._fallbacks = {
            "other": fallbacks_of(config, "fallbacks", name) or fallbacks_of(config, "default_fallbacks", name),
            "context": fallbacks_of(config, "context_window_fallbacks", name),
            "content": fallbacks_of(config, "content_policy_fallbacks", name),
        }
        reachable = {name, *(target for chain in self._fallbacks.values() for target in chain)}
        self._reachable = [d for d in deployments if d.name in reachable]
        self._rests: dict[str, Rest] = {}
        self._cools = bool(COOLING & set(config.router_settings))
        super().__init__(name, self._reachable, secrets=config.secrets)

    async def ask(self, request: Request, faults: Sequence[Fault] = (), choices: int = 1) -> list[Answer]:
        """Send the request once, to a deployment that the Router picks."""
        data = chat_body(request)
        if request.config.top_k is not None:
            data["top_k"] = request.config.top_k
        if choices > 1:
            data["n"] = choices
        return self._read(await self._send(data, faults))

    async def scored(self, request: Request, faults: Sequence[Fault]) -> tuple[Sequence[Any], Answer]:
        """Send the request once, its last message given and not asked for."""
        arrived = await self._send({**chat_body(request), **SCORING}, faults)
        return arrived.body.get("prompt_logprobs") or (), self._read(arrived)[0]

    async def _send(self, data: dict[str, Any], faults: Sequence[Fault]) -> _Arrived:
        target = self._target(faults)
        heard = Heard()
        told = routing(self._avoided(target, faults), heard)
        try:
            reply = await self._router.acompletion(**data, **told, model=target, num_retries=0)
            self._rest_of(deployment_of(reply)).answered()
            return _Arrived(_body(reply, heard), deployment_of(reply))
        except Exception as error:
            body = heard.chat_body(error)
            if body is not None:  # LiteLLM could not read it
                return _Arrived(body, failed_deployment(error))
            wait = cooldown_of(error)
            if wait is not None:
                if not heard.sent:
                    raise NotSent("all deployments cool down", wait) from None
                raise lm15.ServerError("the request failed, and all deployments cool down", retry_after=wait) from None
            if is_forked(error):
                raise CannotSend(FORKED) from None
            translated = _translated(error)
            if not isinstance(translated, lm15.InvalidRequestError):
                self._rest_of(failed_deployment(error)).failed()
            raise translated from None

    def may_retry(self, faults: Sequence[Fault]) -> bool:
        """Return whether asking again, or asking a fallback, could help."""
        if not (faults[-1].sent or faults[-1].retry):
            return False
        asked = sum(fault.sent for fault in faults)
        chain = self._fallbacks.get(faults[-1].kind) or self._fallbacks["other"]
        return super().may_retry(faults) or asked <= len(chain) or self._others_left(faults)

    def _others_left(self, faults: Sequence[Fault]) -> bool:
        refused = {fault.deployment for fault in faults if fault.deployment is not None}
        return faults[-1].rejected and 0 < len(refused) < sum(d.name == self.name for d in self._reachable)

    def _target(self, faults: Sequence[Fault]) -> str:
        asked = [fault for fault in faults if fault.sent]
        if not asked:
            return self.name
        last = asked[-1]
        chain = self._fallbacks.get(last.kind) if last.kind in ("context", "content") else None
        patience = 1 if chain or not last.retry else FAULTS_BEFORE_FALLBACK
        chain = chain or self._fallbacks["other"]
        if not chain or len(asked) < patience:
            return self.name
        return chain[(len(asked) - patience) % len(chain)]

    def _avoided(self, target: str, faults: Sequence[Fault]) -> list[str]:
        """Return the deployments that failed this request last, or rest; never all, none when others were not free."""
        if faults and not faults[-1].sent:
            return []
        group = [d.info["id"] for d in self._reachable if d.name == target]
        failed = [f.deployment for f in reversed(faults) if f.deployment and f.deployment in group]
        resting = [] if self._cools else [name for name in group if not self._rest_of(name).awake()]
        return list(dict.fromkeys([*failed, *resting]))[: len(group) - 1]

    def _rest_of(self, deployment: str | None) -> Rest:
        return self._rests.setdefault(deployment or "", Rest())

    def _read(self, arrived: _Arrived) -> list[Answer]:
        """Return the choices; see `read_reply`.

        Raises:
            LM15Error: As `read_reply`.
        """
        try:
            return read_reply(arrived.body, self._price_at(arrived.deployment))
        except lm15.LM15Error as error:
            error.deployment = arrived.deployment
            raise

    def _price_at(self, deployment: str | None) -> Dearest | None:
        """Return the price of a deployment; the dearest one where it is not known which."""
        prices = [price for price in self.prices if price is not None]
        if not prices or len(prices) < len(self.prices):
            return None
        known = [price for d, price in zip(self._reachable, prices, strict=True) if d.info["id"] == deployment]
        return Dearest(known or prices)


class _Arrived(NamedTuple):
    """What came back for a request."""

    body: Mapping[str, Any]
    deployment: str | None


def _body(reply: Any, heard: Heard) -> dict[str, Any]:
    """Return what the server sent; as LiteLLM reads it where its provider does not speak OpenAI's chat API.

    LiteLLM has some providers write JSON as a tool's call, and takes it out of that: then its text is the text.
    """
    body = heard.chat_body()
    if body is None:
        return dict(reply.model_dump())
    for sent, read in zip(body.get("choices") or (), reply.choices, strict=False):
        if sent["message"].get("tool_calls") and not sent["message"].get("content"):
            sent["message"]["content"] = read.message.content
    return body


def _translated(error: Exception) -> Exception:
    """Return DSPy's error for LiteLLM's, with what LiteLLM keeps elsewhere: Retry-After, and who failed."""
    mapped = lm15_error(error)
    if isinstance(mapped, lm15.LM15Error):
        mapped.deployment = failed_deployment(error)
        if mapped.retry_after is None:
            mapped.retry_after = retry_after_seconds(response_header(error, "retry-after"))
    return mapped
