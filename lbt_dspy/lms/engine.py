"""What the library asks of a language model: one request, one answer, an honest price."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

import dspy
from dspy import lm15
from dspy.lm15 import Message, Request, Response, TextPart, Usage, response_from_openai_chat, response_to_events

from lbt_dspy.dspy_private import dump_engine, load_engine
from lbt_dspy.errors import UserError
from lbt_dspy.lms.abilities import Able
from lbt_dspy.lms.event_loop import in_thread
from lbt_dspy.lms.faults import Fault, NoReply
from lbt_dspy.lms.prompt import asks_for_tag
from lbt_dspy.lms.replies.finish import ERROR
from lbt_dspy.lms.replies.thoughts import answer_in

__all__ = ["Answer", "AsyncEngine", "ModelEngine", "Request", "Response", "as_response", "lm_of"]

MOST_TIMEOUTS = 2
SCORERS = "vLLM servers by name (hosted_vllm/MODEL@http://host:port/v1, or in a LiteLLM YAML) and embedded/classroom-*"
"""Who offers `score`, for messages."""


class Answer(NamedTuple):
    """One completion."""

    text: str
    """All that it wrote; thoughts stand before the answer as `lbt_dspy.lms.replies.thoughts` knows them."""
    finish: str = "stop"
    """`stop`, `length` (cut at the token limit), `content_filter` or `error` (of the server)."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    """US dollars; `None` when the price is unknown."""
    logprobs: str | None = None
    """Log-probabilities of its tokens, as `lbt_dspy.lms.logprobs.encode` writes them, where they were asked for."""
    reason: str | None = None
    """What the error was, or why there is no text."""
    cached_tokens: int | None = None
    """Input tokens that the provider had in its cache; `None`: it does not say."""
    beside: Mapping[str, Any] | None = None
    """What a server's message has beside its text, as OpenAI's chat API writes it: tool calls, thoughts."""


class ModelEngine(Able, ABC):
    """A model behind `dspy.LM(name, engine=...)` that the ledger can count, price and journal.

    The contract: `answer` makes at most one HTTP request, does not retry, is thread-safe, and raises errors of
    `dspy.lm15` (or anything that `lbt_dspy.lms.faults.fault_of` reads). `identity` names the model and its endpoints,
    without anything secret: replies are journalled under it.
    """

    in_process = False
    """True: runs in this process, costs nothing, fails by `NoReply` alone; called in the caller's thread."""
    takes_seed = True
    """Whether requests may carry a `seed`."""
    takes_temperature = True
    """Whether requests may carry a `temperature` that nobody asked for by name (reasoning models refuse it)."""
    writes_texts = True
    """Whether it can write texts of its own; a statistical model cannot."""
    gives_logprobs: bool | None = False
    """Whether it gives log-probabilities of its tokens when a request asks for them; `None`: not known."""
    gives_choices = False
    """Whether one request can have several answers, each sampled by itself (`n`)."""
    scores_texts = False
    """Whether it offers `score`."""
    secrets: tuple[str, ...] = ()
    """Texts that must never be written anywhere."""
    addresses: tuple[str, ...] = ()
    """Where it is asked, for people; empty: nowhere but in this process, or not known."""

    def __init__(self, name: str, identity: str) -> None:
        self.name = name
        self.identity = identity

    @abstractmethod
    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer one request; `faults` are those of its earlier attempts, so that a router can turn elsewhere."""

    def answer_many(self, requests: Sequence[Request]) -> Iterator[Answer | NoReply]:
        """Answer requests in order, each exactly as `answer` does; a `NoReply` stands where there is no reply.

        How the ledger asks a model in this process. One that computes several answers at once overrides it; it may work
        ahead of what is taken from it.
        """
        return _each(self.answer, requests)

    def score(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Return how likely a given answer is: the assistant's message at the end of the request.

        The contract is that of `answer`; `logprobs` of what comes back are those of that message's tokens, and its text
        is empty. Of the request's settings none matters.

        Raises:
            UserError: It does not offer this.
        """
        self.refuse_score()

    def refuse_score(self) -> NoReturn:
        """Raise `UserError`: it does not offer `score`."""
        raise UserError(f"{self.name} does not say how likely a given text is; {SCORERS} do")

    async def ask_score(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Score an answer as `ask` asks for one, from the event loop; by default `score`, in a thread."""
        return await in_thread(self.score, request, faults)

    def score_many(self, requests: Sequence[Request]) -> Iterator[Answer | NoReply]:
        """Score answers in order, as `answer_many` answers requests."""
        return _each(self.score, requests)

    async def ask(self, request: Request, faults: Sequence[Fault] = (), choices: int = 1) -> list[Answer]:
        """Send the request once, from the event loop of all requests.

        Args:
            request: What is sent.
            faults: Of its earlier attempts.
            choices: How many answers are asked for; more than 1 only where `gives_choices`.

        Returns:
            At least one answer and at most `choices`. By default `answer`, in a thread.
        """
        return [await in_thread(self.answer, request, faults)]

    def limited(self, request: Request) -> Request:
        """Return what is sent under a limit in dollars: the request, its answer bounded as `worst_cost` takes it."""
        return request

    def worst_cost(self, request: Request, choices: int = 1) -> float | None:
        """Return the most that this request can cost in US dollars; `None` when the price is unknown."""
        return 0.0

    def likely_cost(self, request: Request, output_tokens: int) -> float | None:
        """Return about what this request costs when its answer has so many tokens; `None` when the price is unknown."""
        return 0.0

    @property
    def priced(self) -> bool:
        """Whether the price of a call is known."""
        return True

    def may_retry(self, faults: Sequence[Fault]) -> bool:
        """Return whether asking again could help after these faults; a hang is asked again once."""
        return faults[-1].retry and sum(fault.kind == "timeout" for fault in faults) < MOST_TIMEOUTS

    def complete(self, request: Request) -> Response:
        """Answer as DSPy asks it."""
        reply = self.answer(request)
        if reply.finish == ERROR:
            raise lm15.ServerError(reply.reason or ERROR)
        text = answer_in(reply.text, functools.partial(asks_for_tag, request))
        whole = as_response(request.model, text, reply.input_tokens, reply.output_tokens, reply.finish)
        return whole if reply.beside is None else _with_beside(whole, reply.beside)

    def stream(self, request: Request) -> Iterator[Any]:
        """Answer as DSPy asks where a program is streamed: by default in one piece."""
        yield from response_to_events(self.complete(request))

    def __deepcopy__(self, memo: dict[int, Any]) -> ModelEngine:
        return self


def _each(ask: Callable[[Request], Answer], requests: Sequence[Request]) -> Iterator[Answer | NoReply]:
    for request in requests:
        try:
            yield ask(request)
        except NoReply as lost:
            yield lost


class AsyncEngine:
    """The asynchronous face of an engine: the same call in a thread."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    async def complete(self, request: Request) -> Response:
        """Answer as DSPy asks it."""
        return await in_thread(self.engine.complete, request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """Answer as DSPy asks where a program is streamed."""
        events = self.engine.stream(request)
        while (event := await in_thread(next, events, None)) is not None:
            yield event

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncEngine:
        return self

    def dump_state(self) -> dict[str, Any]:
        """Return what DSPy saves: the synchronous engine's state."""
        return {"engine": dump_engine(self.engine)}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> AsyncEngine:
        """Rebuild from a saved state; DSPy calls this only with `allow_unsafe_lm_state=True`."""
        return cls(load_engine(state["engine"]))


def as_response(model: str, text: str, input_tokens: int, output_tokens: int, finish: str = "stop") -> Response:
    """Wrap a completion in DSPy's record."""
    return Response(
        id=None,
        model=model,
        message=Message.assistant([TextPart(text)]),
        finish_reason=finish if finish in ("stop", "length", "content_filter") else "stop",
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
    )


def beside_text(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a server's message has beside its text; `None`: nothing."""
    return {
        name: message[name] for name in ("tool_calls", "reasoning_content", "reasoning") if message.get(name)
    } or None


def _with_beside(response: Response, beside: Mapping[str, Any]) -> Response:
    """Return a response that has thoughts and tool calls as well."""
    read = response_from_openai_chat({"model": response.model, "choices": [{"message": {"content": "", **beside}}]})
    parts = [part for part in read.message.parts if part.type != "text"]
    written = [part for part in response.message.parts if part.text]
    thoughts = [part for part in parts if part.type == "thinking"]
    calls = [part for part in parts if part.type != "thinking"]
    message = Message.assistant([*thoughts, *(written or ([] if calls else response.message.parts)), *calls])
    return replace(response, message=message, finish_reason="tool_call" if calls else response.finish_reason)


def lm_of(engine: ModelEngine, **sampling: Any) -> dspy.LM:
    """Return the `dspy.LM` of an engine: no cache and no retries of its own, the journal and the ledger do both."""
    return dspy.LM(engine.name, engine=engine, async_engine=AsyncEngine(engine), cache=False, num_retries=0, **sampling)
