"""A LiteLLM Router behind the library's engine contract: load balancing, cooldowns, rate limits, prices.

Each `answer` is one HTTP request: the Router's own retries and fallbacks are off, and this engine turns to the
configured fallbacks itself, so that every request is counted and paid through the ledger.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from dspy import lm15
from dspy.clients._http import retry_after_seconds
from dspy.clients.engines.litellm_errors import to_lm15_error
from dspy.clients.lm import _is_openai_reasoning_model
from dspy.clients.lm15_boundary import request_kwargs
from dspy.lm15 import Request

from lbt_dspy.errors import UserError
from lbt_dspy.lms.config import LIMITS, SECRET_NAME, Deployment, LMConfig
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault, NotSent, scrub
from lbt_dspy.lms.litellm_setup import litellm
from lbt_dspy.lms.logprobs import encode, given_tokens
from lbt_dspy.lms.user_lm import REQUEST_TIMEOUT, public_url

FAULTS_BEFORE_FALLBACK = 2
COOLDOWN_SECONDS = 1.0
TOKENS_PER_MESSAGE = 16
BYTES_PER_TOKEN = 4
DEFAULT_OUTPUT_TOKENS = 4096
SCORING = {"max_tokens": 1, "prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
"""What vLLM must be told: log-probabilities of the prompt, which ends where the given answer does."""
UNSAVED = "a program with a routed LM is saved without it: call program.set_lm(None) before saving"
PRICES = ("input_cost_per_token", "output_cost_per_token")


class EventLoop:
    """One event loop in a daemon thread, on which all Routers make their requests."""

    _loop: asyncio.AbstractEventLoop | None = None
    _lock = threading.Lock()

    @classmethod
    def run(cls, coroutine: Any) -> Any:
        """Run a coroutine on the loop and wait for its result in this thread."""
        with cls._lock:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="lbt-http", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, cls._loop).result()

    @classmethod
    def cancel_all(cls) -> None:
        """Cancel every coroutine on the loop."""
        loop = cls._loop
        if loop is not None:
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])


def make_router(config: LMConfig, deployments: Sequence[Deployment]) -> litellm.Router:
    """Return a Router over the deployments, which must be usable.

    Raises:
        UserError: A setting is unknown to LiteLLM.
    """
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
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


class RouterEngine(ModelEngine):
    """One model name of a Router.

    Args:
        name: The `model_name`.
        router: Holds the deployments of this name and of its fallbacks.
        config: Names the fallbacks and the secrets.
        deployments: All deployments of the Router.
    """

    def __init__(self, name: str, router: litellm.Router, config: LMConfig, deployments: Sequence[Deployment]) -> None:
        self._router = router
        self._fallbacks = {
            "other": _chain(config.fallbacks, "fallbacks", name) or list(config.fallbacks.get("default_fallbacks", [])),
            "context": _chain(config.fallbacks, "context_window_fallbacks", name),
            "content": _chain(config.fallbacks, "content_policy_fallbacks", name),
        }
        reachable = {name, *(target for chain in self._fallbacks.values() for target in chain)}
        self._deployments = [d for d in deployments if d.name in reachable]
        super().__init__(name, _identity(name, self._deployments))
        self.secrets = config.secrets
        self.takes_seed = all(_takes("seed", d) for d in self._deployments)
        self.gives_logprobs = all(_takes("top_logprobs", d) for d in self._deployments)
        self.scores_texts = all(_is_vllm(d) for d in self._deployments)
        self.takes_temperature = not any(_is_openai_reasoning_model(d.params["model"]) for d in self._deployments)
        self._prices = [_price(d) for d in self._deployments]

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once, to a deployment that the Router picks."""
        data = request_kwargs(request, "chat")
        if request.config.top_k is not None:
            data["top_k"] = request.config.top_k
        return self._read(self._send(data, faults))

    def score(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once, its last message given and not asked for.

        Raises:
            UserError: A deployment is no vLLM server.
        """
        if not self.scores_texts:
            return super().score(request, faults)
        raw = self._send({**request_kwargs(request, "chat"), **SCORING}, faults)
        text = request.messages[-1].text or ""
        tokens = given_tokens(getattr(raw, "prompt_logprobs", None) or (), text)
        if not tokens:
            raise lm15.CapabilityError(
                f"no log-probabilities of the given text {text[:40]!r} came back: the server must be vLLM, and the "
                "model's chat template must write an assistant's message as it is"
            )
        return self._read(raw)._replace(text="", finish="stop", logprobs=encode(tokens))

    def _send(self, data: dict[str, Any], faults: Sequence[Fault]) -> Any:
        target = self._target(faults)
        avoided = self._avoided(target, faults)
        if avoided:
            data["_excluded_deployment_ids"] = avoided  # what LiteLLM's own retries tell the Router
        sent: list[bool] = []
        data["logger_fn"] = lambda details: sent.append(True)  # LiteLLM calls it just before the request goes out
        try:
            return EventLoop.run(self._router.acompletion(**data, model=target, num_retries=0))
        except Exception as error:
            if type(error).__name__.startswith("RouterRateLimitError"):
                wait = float(getattr(error, "cooldown_time", 1.0))
                if not sent:
                    raise NotSent("all deployments cool down", wait) from None
                raise lm15.ServerError("the request failed, and all deployments cool down", retry_after=wait) from None
            raise _translated(error) from None

    def cancel_in_flight(self) -> None:
        """Cancel all requests of all Routers."""
        EventLoop.cancel_all()

    def may_retry(self, faults: Sequence[Fault]) -> bool:
        """Return whether asking again, or asking a fallback, could help."""
        asked = sum(fault.sent for fault in faults)
        chain = self._fallbacks.get(faults[-1].kind) or self._fallbacks["other"]
        return super().may_retry(faults) or asked <= len(chain)

    def worst_cost(self, request: Request) -> float | None:
        """Return the dearest deployment's price: a token per byte of the prompt, and as many new ones as allowed."""
        if None in self._prices:
            return None
        prompt = sum(size + TOKENS_PER_MESSAGE for size in _prompt_bytes(request))
        worst = 0.0
        for price, deployment in zip(self._prices, self._deployments, strict=True):
            output = request.config.max_tokens or _output_limit(deployment)
            worst = max(worst, prompt * price[0] + output * price[1])  # type: ignore[index]
        return worst

    def likely_cost(self, request: Request, output_tokens: int) -> float | None:
        """Return the dearest deployment's price at four bytes a token."""
        if None in self._prices:
            return None
        tokens = sum(_prompt_bytes(request)) / BYTES_PER_TOKEN
        return max(tokens * price[0] + output_tokens * price[1] for price in self._prices)  # type: ignore[index]

    @property
    def priced(self) -> bool:
        """Whether the price of every deployment is known."""
        return None not in self._prices

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
        group = self._router.get_model_ids(target)
        failed = dict.fromkeys(f.deployment for f in reversed(faults) if f.deployment and f.deployment in group)
        return list(failed)[: len(group) - 1]

    def _read(self, raw: Any) -> Answer:
        choice = raw.choices[0]
        usage = getattr(raw, "usage", None)
        tokens = (int(getattr(usage, "prompt_tokens", 0) or 0), int(getattr(usage, "completion_tokens", 0) or 0))
        cost = (getattr(raw, "_hidden_params", None) or {}).get("response_cost") if self.priced else None
        finish = {"length": "length", "content_filter": "content_filter"}.get(choice.finish_reason or "", "stop")
        return Answer(choice.message.content or "", finish, *tokens, cost, _logprobs(choice))

    def dump_state(self) -> dict[str, Any]:
        """Refuse: a saved program must not carry endpoints; set its LM again after loading."""
        raise TypeError(UNSAVED)

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> RouterEngine:
        """Refuse; DSPy asks `dump_state` only of engines that have this too."""
        raise TypeError(UNSAVED)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(UNSAVED)


def _translated(error: Exception) -> Exception:
    """Return DSPy's error for LiteLLM's, with what LiteLLM keeps elsewhere: Retry-After, and who failed."""
    mapped: Exception = to_lm15_error(error)
    if isinstance(mapped, lm15.LM15Error):
        mapped.deployment = getattr(error, "failed_deployment_id", None)
        if mapped.retry_after is None:
            headers = getattr(error, "litellm_response_headers", None) or {}
            mapped.retry_after = retry_after_seconds(headers.get("retry-after"))
    return mapped


def _prompt_bytes(request: Request) -> list[int]:
    """Return the size of the system prompt and of each message."""
    texts = [str(request.system or ""), *(message.text or repr(message.parts) for message in request.messages)]
    return [len(text.encode("utf-8", "surrogatepass")) for text in texts]


def _chain(fallbacks: Mapping[str, Any], kind: str, name: str) -> list[str]:
    for entry in fallbacks.get(kind) or []:
        if name in entry:
            return [str(target) for target in entry[name]]
    return []


def _identity(name: str, deployments: Sequence[Deployment]) -> str:
    """Name every endpoint that may answer, and how it is set up, without anything secret."""
    places = set()
    for d in deployments:
        setup = {k: v for k, v in d.params.items() if k not in LIMITS and not SECRET_NAME.search(k)}
        setup["api_base"] = public_url(str(setup.get("api_base") or ""))
        places.add(json.dumps([d.name, setup], sort_keys=True, default=str))
    return "|".join([name, *sorted(places)])


def _logprobs(choice: Any) -> str | None:
    listed = getattr(getattr(choice, "logprobs", None), "content", None)
    if not listed:
        return None
    return encode((t.token, t.logprob, {top.token: top.logprob for top in t.top_logprobs or ()}) for t in listed)


def _takes(parameter: str, deployment: Deployment) -> bool:
    try:
        known = litellm.get_supported_openai_params(
            model=deployment.params["model"], custom_llm_provider=deployment.params.get("custom_llm_provider")
        )
    except Exception:  # an unknown provider: LiteLLM says so on the first call
        return False
    return parameter in (known or [])


def _is_vllm(deployment: Deployment) -> bool:
    provider = deployment.params.get("custom_llm_provider") or str(deployment.params["model"]).split("/")[0]
    return bool(provider == "hosted_vllm")


def _price(deployment: Deployment) -> tuple[float, float] | None:
    """Return US dollars per input and output token; `None` when unknown."""
    for source in (deployment.params, deployment.info, _listed(deployment)):
        if all(source.get(name) is not None for name in PRICES):
            return float(source[PRICES[0]]), float(source[PRICES[1]])
    return None


def _output_limit(deployment: Deployment) -> int:
    for source in (deployment.info, _listed(deployment)):
        limit = source.get("max_output_tokens") or source.get("max_tokens")
        if limit:
            return int(limit)
    return DEFAULT_OUTPUT_TOKENS


def _listed(deployment: Deployment) -> Mapping[str, Any]:
    """Return what LiteLLM's price map itself says of a model (a Router adds entries with price 0 for unknown ones)."""
    try:
        info = litellm.get_model_info(str(deployment.info.get("base_model") or deployment.params["model"]))
    except Exception:  # LiteLLM raises plain Exception for a model that is not in its map
        return {}
    return dict(litellm.model_cost.get(info["key"]) or {})
