"""A language model that answers by its prompt, never by the order of calls, and fails loudly where it has no answer.

It is an engine like any other: its calls are journalled, counted and budgeted, in threads and in any order.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import dspy
from dspy.lm15 import Request

from lbt_dspy.errors import LbTError
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.lms.faults import Fault

FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n\[\[ ## |\Z|\n\nRespond with)", re.DOTALL)
WANTED = re.compile(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?`")
Said = Mapping[str, object] | str | Exception
"""Output fields, a raw text, or an error to raise."""
Answers = Callable[[Mapping[str, str], Sequence[Mapping[str, str]], int | None], Said]
"""From the question's input fields, the fields of each demonstration before it, and the request's seed."""


class UnscriptedPromptError(LbTError, AssertionError):
    """A scripted model was asked what its script does not answer."""


class Asked(NamedTuple):
    """One request, retries too."""

    inputs: Mapping[str, str]
    lessons: Sequence[Mapping[str, str]]
    """The demonstrations, inputs and outputs together."""
    seed: int | None
    said: Said


class ScriptedEngine(ModelEngine):
    """Answers as a script says, in the layout that the prompt asks for (ChatAdapter's or JSONAdapter's).

    Args:
        answers: A function, see `Answers`, or a table: the first key that the prompt's last message contains has the
            answer.
        name: Of the model; models of different scripts must have different names where they share a journal.

    Attributes:
        asked: Every request, in the order in which they came; use it to see what was in a prompt.
    """

    def __init__(self, answers: Answers | Mapping[str, Said], name: str = "scripted") -> None:
        super().__init__(name, name)
        self._answers = answers
        self._lock = threading.Lock()
        self.asked: list[Asked] = []

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer one request.

        Raises:
            UnscriptedPromptError: The script has no answer.
        """
        texts = [message.text or "" for message in request.messages]
        pairs = zip(texts[:-1:2], texts[1::2], strict=True)
        lessons = [{**fields_of(question), **fields_of(given)} for question, given in pairs]
        inputs = fields_of(texts[-1])
        said = self._said(texts[-1], inputs, lessons, request.config.seed)
        with self._lock:
            self.asked.append(Asked(inputs, lessons, request.config.seed, said))
        if isinstance(said, Exception):
            raise said
        return Answer(said if isinstance(said, str) else written(said, texts[-1]))

    def _said(
        self, text: str, inputs: Mapping[str, str], lessons: Sequence[Mapping[str, str]], seed: int | None
    ) -> Said:
        if callable(self._answers):
            return self._answers(inputs, lessons, seed)
        for key, said in self._answers.items():
            if key in text:
                return said
        known = ", ".join(map(repr, self._answers)) or "(nothing)"
        raise UnscriptedPromptError(f"{self.name} has no answer to {text[:200]!r}; its script has {known}")

    def dump_state(self) -> dict[str, Any]:
        """Return what DSPy saves: the name."""
        return {"name": self.name}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> ScriptedEngine:
        """Refuse: a script lives in its own process."""
        raise NotImplementedError("a scripted model knows its answers only in its own process; set the LM again")


def scripted_lm(answers: Answers | Mapping[str, Said], name: str = "scripted", **settings: Any) -> dspy.LM:
    """Return an LM that answers as a script says.

    Args:
        answers: As in `ScriptedEngine`.
        name: As in `ScriptedEngine`.
        settings: Of the LM, e.g. `temperature=0.7`.

    Example:
        >>> import dspy
        >>> from lbt_dspy.testing import scripted_lm
        >>> lm = scripted_lm({"sky": {"answer": "blue"}, "": {"answer": "I do not know"}})
        >>> with dspy.context(lm=lm):
        ...     dspy.Predict("question -> answer")(question="What colour has the sky?").answer
        'blue'
    """
    return lm_of(ScriptedEngine(answers, name), **settings)


def fields_of(text: str) -> dict[str, str]:
    """Return the fields of a message, in the layout of either adapter."""
    try:
        return {k: str(v) for k, v in json.loads(text).items()}
    except (ValueError, AttributeError):
        return {name: value.strip() for name, value in FIELD.findall(text) if name != "completed"}


def written(values: Mapping[str, object], prompt: str) -> str:
    """Return output fields as a prompt asks for them.

    Raises:
        UnscriptedPromptError: One that it asks for is missing.
    """
    _, _, end = prompt.rpartition("Respond with")
    wanted = [name for name in dict.fromkeys(WANTED.findall(end)) if name != "completed"]
    missing = [name for name in wanted if name not in values]
    if missing:
        raise UnscriptedPromptError(f"the script gives {', '.join(values)}, but the prompt asks for {missing[0]!r} too")
    if "JSON object" in end:
        return json.dumps({name: values[name] for name in wanted})
    return "\n\n".join(f"[[ ## {name} ## ]]\n{values[name]}" for name in wanted)
