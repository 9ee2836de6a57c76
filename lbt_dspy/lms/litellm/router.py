"""A LiteLLM Router behind the library's engine contract: load balancing, cooldowns, rate limits, prices.

Each `answer` is one HTTP request: the Router's own retries and fallbacks are off, and this engine turns to the
configured fallbacks itself, so that every request is counted and paid through the ledger.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dspy import lm15
from dspy.lm15 import Request

from lbt_dspy.dspy_private import chat_body, lm15_error, retry_after_seconds
from lbt_dspy.errors import UserError
from lbt_dspy.lms.config import REQUEST_TIMEOUT, Deployment, LMConfig
from lbt_dspy.lms.deployed import SCORING, DeployedEngine
from lbt_dspy.lms.engine import Answer, finish_of
from lbt_dspy.lms.faults import CannotSend, Fault, NotSent
from lbt_dspy.lms.litellm.private import (
    cooldown_of,
    cost_of,
    failed_deployment,
    hush,
    is_forked,
    response_header,
    routing,
)
from lbt_dspy.lms.litellm.setup import litellm
from lbt_dspy.lms.logprobs import encode
from lbt_dspy.lms.redaction import scrub

FAULTS_BEFORE_FALLBACK = 2
COOLDOWN_SECONDS = 1.0
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
    for name, value in config.litellm_settings.items():
        if not hasattr(litellm, name):
            raise UserError(f"litellm_settings has the unknown setting {name!r}; remove it or mend its spelling")
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
                    "litellm_params": {**d.params, "max_retries": 0, "num_retries": 0},
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
            "other": _chain(config.fallbacks, "fallbacks", name) or list(config.fallbacks.get("default_fallbacks", [])),
            "context": _chain(config.fallbacks, "context_window_fallbacks", name),
            "content": _chain(config.fallbacks, "content_policy_fallbacks", name),
        }
        reachable = {name, *(target for chain in self._fallbacks.values() for target in chain)}
        self._reachable = [d for d in deployments if d.name in reachable]
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
        raw = await self._send({**chat_body(request), **SCORING}, faults)
        return getattr(raw, "prompt_logprobs", None) or (), self._read(raw)[0]

    async def _send(self, data: dict[str, Any], faults: Sequence[Fault]) -> Any:
        target = self._target(faults)
        sent: list[bool] = []
        told = routing(self._avoided(target, faults), lambda: sent.append(True))
        try:
            return await self._router.acompletion(**data, **told, model=target, num_retries=0)
        except Exception as error:
            wait = cooldown_of(error)
            if wait is not None:
                if not sent:
                    raise NotSent("all deployments cool down", wait) from None
                raise lm15.ServerError("the request failed, and all deployments cool down", retry_after=wait) from None
            if is_forked(error):
                raise CannotSend(FORKED) from None
            raise _translated(error) from None

    def may_retry(self, faults: Sequence[Fault]) -> bool:
        """Return whether asking again, or asking a fallback, could help."""
        if not (faults[-1].sent or faults[-1].retry):
            return False
        asked = sum(fault.sent for fault in faults)
        chain = self._fallbacks.get(faults[-1].kind) or self._fallbacks["other"]
        return super().may_retry(faults) or asked <= len(chain)

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
        """Return the deployments that failed this request last, never all; none when the others were not free."""
        if not faults or not faults[-1].sent:
            return []
        group = [d.info["id"] for d in self._reachable if d.name == target]
        failed = dict.fromkeys(f.deployment for f in reversed(faults) if f.deployment and f.deployment in group)
        return list(failed)[: len(group) - 1]

    def _read(self, raw: Any) -> list[Answer]:
        """Return the choices; the first one bears the tokens and the cost of all."""
        usage = getattr(raw, "usage", None)
        tokens = (int(getattr(usage, "prompt_tokens", 0) or 0), int(getattr(usage, "completion_tokens", 0) or 0))
        cost = cost_of(raw) if self.priced else None
        answers = [
            Answer(c.message.content or "", finish_of(c.finish_reason), 0, 0, 0.0, _logprobs(c)) for c in raw.choices
        ]
        if not answers:
            raise lm15.ProviderError("the reply has no choices")
        answers[0] = answers[0]._replace(input_tokens=tokens[0], output_tokens=tokens[1], cost=cost)
        return answers


def _translated(error: Exception) -> Exception:
    """Return DSPy's error for LiteLLM's, with what LiteLLM keeps elsewhere: Retry-After, and who failed."""
    mapped = lm15_error(error)
    if isinstance(mapped, lm15.LM15Error):
        mapped.deployment = failed_deployment(error)
        if mapped.retry_after is None:
            mapped.retry_after = retry_after_seconds(response_header(error, "retry-after"))
    return mapped


def _chain(fallbacks: Mapping[str, Any], kind: str, name: str) -> list[str]:
    for entry in fallbacks.get(kind) or []:
        if name in entry:
            return [str(target) for target in entry[name]]
    return []


def _logprobs(choice: Any) -> str | None:
    listed = getattr(getattr(choice, "logprobs", None), "content", None)
    if not listed:
        return None
    return encode((t.token, t.logprob, {top.token: top.logprob for top in t.top_logprobs or ()}) for t in listed)
