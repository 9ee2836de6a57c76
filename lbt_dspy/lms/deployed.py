"""What engines of deployed models share: endpoints, prices, what may be asked of them."""

from __future__ import annotations

import contextlib
import itertools
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy
from dspy import lm15
from dspy.lm15 import Request

from lbt_dspy.dspy_private import is_reasoning_model, streamed
from lbt_dspy.lms.abilities import Abilities, abilities_of
from lbt_dspy.lms.config import (
    CONNECTION_SETTINGS,
    EXECUTION_SETTINGS,
    LIMITS,
    REQUEST_TIMEOUT,
    SECRET_NAME,
    Deployment,
)
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.fleet.prices import DEFAULT_OUTPUT_TOKENS, INPUT, OUTPUT, Price, limit_of, price_from
from lbt_dspy.lms.fleet.sections import warn_once
from lbt_dspy.lms.logprobs import Token, encode, given_tokens
from lbt_dspy.lms.redaction import public_url
from lbt_dspy.lms.replies.finish import ERROR
from lbt_dspy.lms.settings import credentials_of, sampling_of, split, with_extensions

TOKENS_PER_MESSAGE = 16
BYTES_PER_TOKEN = 4
KEPT_LIMITS = 512
VLLM = "hosted_vllm"
OPENAI_CHAT = ("openai", VLLM)
"""Providers whose servers give several choices in one answer (`n`)."""
SCORING = {"max_tokens": 1, "prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
"""What vLLM must be told: log-probabilities of the prompt, which ends where the given answer does."""
UNSAVED = "a program with a deployed LM is saved without it: call program.set_lm(None) before saving"


class DeployedEngine(ModelEngine):
    """A model at one or more endpoints.

    Args:
        name: Under which replies are counted.
        deployments: All endpoints that may answer.
        identity: Under which replies are journalled; `None`: made of the endpoints and their settings.
        secrets: Texts that must never be written anywhere.
    """

    def __init__(
        self, name: str, deployments: Sequence[Deployment], *, secrets: tuple[str, ...], identity: str | None = None
    ) -> None:
        super().__init__(name, _identity(name, deployments) if identity is None else identity)
        self._deployments = tuple(deployments)
        self.secrets = secrets
        self.takes_seed = all(_takes("seed", d) for d in self._deployments)
        self.gives_logprobs = all(_takes("top_logprobs", d) for d in self._deployments)
        self.gives_choices = all(provider_of(d) in OPENAI_CHAT for d in self._deployments)
        self.scores_texts = all(provider_of(d) == VLLM for d in self._deployments)
        self.takes_temperature = not any(is_reasoning_model(d.params["model"]) for d in self._deployments)
        self.prices = [price_of(d) for d in self._deployments]
        """Of each deployment; `None`: unknown."""
        self.addresses = _addresses(self._deployments)
        """Where it is asked, without anything secret."""
        self._limited: dict[int, tuple[Any, Any]] = {}
        self._turns = itertools.cycle([d for d in self._deployments if d.name == name] or self._deployments)
        self._abilities: Abilities | None = None

    @property
    def abilities(self) -> Abilities:
        """What the model behind the name can do."""
        if self._abilities is None:
            self._abilities = abilities_of(self._deployments)
        return self._abilities

    @abstractmethod
    async def ask(self, request: Request, faults: Sequence[Fault] = (), choices: int = 1) -> list[Answer]:
        """Send the request once; see `ModelEngine.ask`."""

    @abstractmethod
    async def scored(self, request: Request, faults: Sequence[Fault]) -> tuple[Sequence[Any], Answer]:
        """Send the request once, its last message given and not asked for; return vLLM's `prompt_logprobs` as well."""

    def stream(self, request: Request) -> Iterator[Any]:
        """Answer as it is written, through LiteLLM; in one piece where the server does not stream, or not this."""
        events = self._streamed(request, next(self._turns))
        begun = _begun(events)
        if begun:
            yield from begun
            yield from events
        else:
            yield from super().stream(request)

    @staticmethod
    def _streamed(request: Request, deployment: Deployment) -> Iterator[Any]:
        connection: dict[str, Any] = {"timeout": REQUEST_TIMEOUT}
        others: dict[str, Any] = {}
        for name, value in deployment.params.items():
            if name in CONNECTION_SETTINGS - EXECUTION_SETTINGS:
                connection[name] = value
            elif name not in EXECUTION_SETTINGS | LIMITS | {"model"}:
                others[name] = value
        named = replace(with_extensions(request, others), model=str(deployment.params["model"]))
        return streamed(named, connection)

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once."""
        return EventLoop.run(self.ask(request, faults))[0]

    async def ask_score(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once; see `ModelEngine.score`.

        Raises:
            UserError: A deployment is no vLLM server.
        """
        if not self.scores_texts:
            self.refuse_score()
        prompt, answer = await self.scored(request, faults)
        if answer.finish == ERROR:
            return answer
        tokens = scores_of(prompt, request.messages[-1].text or "")
        return answer._replace(text="", finish="stop", logprobs=encode(tokens))

    def score(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Send the request once; see `ModelEngine.score`."""
        return EventLoop.run(self.ask_score(request, faults))

    def limited(self, request: Request) -> Request:
        """Return the request with a limit of new tokens, where none is set and tokens cost something."""
        if request.config.max_tokens is not None or self._own_limit() is not None or self._free():
            return request
        kept = self._limited.get(id(request.config))
        if kept is None:
            limit = self._assumed()
            warn_once(
                f"{self.name} has no max_tokens: {limit:,} are sent, so that max_cost holds; set max_tokens in its "
                "LiteLLM YAML for another limit"
            )
            if len(self._limited) >= KEPT_LIMITS:
                self._limited.clear()
            kept = request.config, replace(request.config, max_tokens=limit)
            self._limited[id(request.config)] = kept  # it keeps the settings, and so their id
        return replace(request, config=kept[1])

    def worst_cost(self, request: Request, choices: int = 1) -> float | None:
        """Return the dearest deployment's price: a token per byte of the prompt, and as many new ones as allowed."""
        if None in self.prices:
            return None
        if self._free():
            return 0.0
        prompt = sum(size + TOKENS_PER_MESSAGE for size in _prompt_bytes(request))
        asked, own = request.config.max_tokens, self._own_limit()
        output = choices * (max(asked or 0, own or 0) or self._assumed())
        return max(price.most(prompt, output) for price in self.prices if price is not None)

    def likely_cost(self, request: Request, output_tokens: int) -> float | None:
        """Return the dearest deployment's price at four bytes a token."""
        if None in self.prices:
            return None
        tokens = sum(_prompt_bytes(request)) / BYTES_PER_TOKEN
        return max(price.of(tokens, output_tokens) for price in self.prices if price is not None)

    def _free(self) -> bool:
        return all(price is not None and price.free for price in self.prices)

    def _own_limit(self) -> int | None:
        """Return the limit of new tokens that the deployments set by themselves, where each does."""
        limits = [limit_of(d.params, d.params.get("extra_body") or {}) for d in self._deployments]
        return None if None in limits else max(limit for limit in limits if limit is not None)

    def _assumed(self) -> int:
        """Return the most new tokens of a request that says nothing of them."""
        return max(_output_limit(d) for d in self._deployments)

    @property
    def priced(self) -> bool:
        """Whether the price of every deployment is known."""
        return None not in self.prices

    def dump_state(self) -> dict[str, Any]:
        """Refuse: a saved program must not carry endpoints; set its LM again after loading."""
        raise TypeError(UNSAVED)

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> DeployedEngine:
        """Refuse; DSPy asks `dump_state` only of engines that have this too."""
        raise TypeError(UNSAVED)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(UNSAVED)


def _begun(events: Iterator[Any]) -> list[Any]:
    """Return the events of a stream up to its first piece of an answer; none where none comes, whatever the reason."""
    begun = []
    with contextlib.suppress(Exception):
        for event in events:
            begun.append(event)
            if event.type == "delta":
                return begun
    return []


def scores_of(prompt: Sequence[Any], text: str) -> list[Token]:
    """Return the tokens of a given answer.

    Raises:
        CapabilityError: The server did not say how likely they are.
    """
    tokens = given_tokens(prompt, text)
    if not tokens:
        raise lm15.CapabilityError(
            f"no log-probabilities of the given text {text[:40]!r} came back: the server must be vLLM, and the "
            "model's chat template must write an assistant's message as it is"
        )
    return tokens


def provider_of(deployment: Deployment) -> str:
    """Return LiteLLM's name of the provider."""
    return str(deployment.params.get("custom_llm_provider") or str(deployment.params["model"]).split("/")[0])


def asks_litellm(lm: dspy.LM) -> bool:
    """Return whether some settings of an LM are for LiteLLM, and not for the server that it asks."""
    if credentials_of(lm):
        return True
    others = split(sampling_of(lm, {}))[1]
    if not others:
        return False
    from lbt_dspy.lms.litellm.private import controls

    return not controls().isdisjoint(others)


def _prompt_bytes(request: Request) -> list[int]:
    """Return the size of the system prompt and of each message."""
    texts = [str(request.system or ""), *(message.text or repr(message.parts) for message in request.messages)]
    return [len(text.encode("utf-8", "surrogatepass")) for text in texts]


def _identity(name: str, deployments: Sequence[Deployment]) -> str:
    """Name every endpoint that may answer, and how it is set up, without anything secret."""
    places = set()
    for d in deployments:
        written = d.params if d.place is None else d.place
        setup = {k: v for k, v in written.items() if k not in LIMITS and not SECRET_NAME.search(k)}
        setup["api_base"] = public_url(str(setup.get("api_base") or ""))
        places.add(json.dumps([d.name, setup], sort_keys=True, default=str))
    return "|".join([name, *sorted(places)])


def _takes(parameter: str, deployment: Deployment) -> bool:
    from lbt_dspy.lms.litellm.setup import litellm

    try:
        known = litellm.get_supported_openai_params(
            model=deployment.params["model"], custom_llm_provider=deployment.params.get("custom_llm_provider")
        )
    except Exception:  # an unknown provider: LiteLLM says so on the first call
        return False
    return parameter in (known or [])


def price_of(deployment: Deployment) -> Price | None:
    """Return what its tokens cost, as the YAML says, else as LiteLLM lists it; `None` when unknown."""
    settings = {**deployment.params, **(deployment.params.get("extra_body") or {})}
    given = {**deployment.info, **deployment.params}
    whole = all(given.get(name) is not None for name in (INPUT, OUTPUT))
    return price_from(given if whole else {**_listed(deployment), **given}, settings)


def _output_limit(deployment: Deployment) -> int:
    own = limit_of(deployment.params, deployment.params.get("extra_body") or {})
    if own is not None:
        return own
    return _longest_answer(deployment) + _longest_thought(deployment)


def _longest_thought(deployment: Deployment) -> int:
    """Return the tokens of thinking that were asked for by number; the answer's come on top of them."""
    thinking = deployment.params.get("thinking")
    return int(thinking.get("budget_tokens") or 0) if isinstance(thinking, Mapping) else 0


def _longest_answer(deployment: Deployment) -> int:
    for source in (deployment.info, _listed(deployment)):
        limit = source.get("max_output_tokens") or source.get("max_tokens")
        if limit:
            return int(limit)
    return DEFAULT_OUTPUT_TOKENS


def _addresses(deployments: Sequence[Deployment]) -> tuple[str, ...]:
    from lbt_dspy.lms.litellm.addresses import address_of

    return tuple(dict.fromkeys(map(address_of, deployments)))


def _listed(deployment: Deployment) -> Mapping[str, Any]:
    """Return what LiteLLM's price map says of a model."""
    from lbt_dspy.lms.litellm.private import listed_price

    return listed_price(str(deployment.info.get("base_model") or deployment.params["model"]))
