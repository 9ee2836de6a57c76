"""The embedded models as engines: prompt in, answer in the prompt's layout out."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from dspy.lm15 import Request

from lbt_dspy.errors import UserError
from lbt_dspy.lms.embedded.classifiers import Fit, TextClassifier
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.logprobs import encode
from lbt_dspy.lms.prompt import Prompt, PromptReader, question_text, read_question, write_answer
from lbt_dspy.sampling import digest_int, stream
from lbt_dspy.signatures import REFLECT_OUTPUT, REVISE_OUTPUT, UNREADABLE

KINDS = ("words", "bayes", "chars")
WORDS_NAMED = 6


class _Asked(NamedTuple):
    """One question, read back from its prompt."""

    request: Request
    prompt: Prompt
    inputs: Mapping[str, str]
    names: tuple[str, ...]
    """Of the output fields."""
    as_json: bool


class _Judged(NamedTuple):
    """How questions were judged in one output field."""

    labels: list[str]
    sure: list[dict[str, float]] | None = None
    """The log-probability of each label, for each question; `None`: nothing was learned."""


@functools.cache
def classifier(kind: str) -> TextClassifier:
    """Return the one classifier of a kind; students and teacher share its caches."""
    return TextClassifier(kind)


class EmbeddedStudent(ModelEngine):
    """Fits one kind of text classifier on the demonstrations.

    It tosses a coin without two labels to learn from, and where no text of theirs has anything it goes by, such as a
    word of two letters.
    """

    in_process = True
    writes_texts = False
    gives_logprobs = True
    kinds: tuple[str, ...]

    def __init__(self, name: str) -> None:
        super().__init__(name, name)
        self.kinds = (name.removeprefix("embedded/"),)
        self._reader = PromptReader()
        self._question = functools.lru_cache(maxsize=8192)(read_question)
        self._learned = functools.lru_cache(maxsize=64)(self._learn)

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer the question in the prompt's last message."""
        return next(self.answer_many([request]))

    def answer_many(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer requests in order; questions after the same demonstrations are classified together."""
        read = ((request, self._reader.read(request)) for request in requests)
        asked = (_Asked(request, prompt, *self._question(_text(request), prompt.inputs)) for request, prompt in read)
        for _, alike in itertools.groupby(asked, key=lambda one: (id(one.prompt), one.names, tuple(one.inputs))):
            yield from self._answer_alike(list(alike))

    def _answer_alike(self, asked: Sequence[_Asked]) -> Iterator[Answer]:
        """Answer questions after the same demonstrations, with the same fields."""
        names = asked[0].names
        judged = {name: self._judge(asked, name) for name in names if self.classifies(names)}
        sure = judged[names[0]].sure if len(judged) == 1 else None
        for place, one in enumerate(asked):
            values = {name: found.labels[place] for name, found in judged.items()} or self.write(one)
            text = write_answer(values, one.as_json)
            logprobs = None
            if one.request.config.logprobs is not None:
                label = str(values[names[-1]])
                logprobs = encode_label(text, label, {label: 0.0} if sure is None else sure[place])
            yield Answer(text, logprobs=logprobs)

    def classifies(self, names: Sequence[str]) -> bool:
        """Return whether the fields that a prompt asks for are labels."""
        return True

    def write(self, asked: _Asked) -> dict[str, object]:
        """Return a value for each output field that is no label."""
        raise NotImplementedError

    def _judge(self, asked: Sequence[_Asked], name: str) -> _Judged:
        """Return the label of each question in one output field, and how sure it is."""
        prompt, read = asked[0].prompt, tuple(asked[0].inputs)
        texts = [question_text(one.inputs, read) for one in asked]
        fits = self._learned(prompt, name, read)
        if fits:
            known, margins = fits[0][1].labels, margins_of(fits, texts)
            sure = [dict(zip(known, row, strict=True)) for row in log_softmax(margins).tolist()]
            return _Judged([known[i] for i in margins.argmax(axis=1)], sure)
        options = prompt.options.get(name) or tuple(sorted({answered[name] for _, answered in prompt.demonstrations}))
        if not options:
            raise UserError(
                f"the output field {name!r} has no options in the prompt and no demonstrations: an embedded model "
                "classifies; declare the field as Literal[...]"
            )
        seeds = [one.request.config.seed for one in asked]
        tosses = [digest_int(seed, self.name, text) for seed, text in zip(seeds, texts, strict=True)]
        return _Judged([options[toss % len(options)] for toss in tosses])

    def _learn(self, prompt: Prompt, name: str, read: tuple[str, ...]) -> list[tuple[TextClassifier, Fit]]:
        """Fit the classifiers on a prompt's demonstrations; none that finds no features, or fewer than two labels."""
        lessons = tuple(
            (question_text(asked, read), answered[name])
            for asked, answered in prompt.demonstrations
            if name in answered
        )
        if len({label for _, label in lessons}) < 2:
            return []
        texts = tuple(text for text, _ in lessons)
        able = [found for found in map(classifier, self.kinds) if found.features.are_in(texts)]
        return [(found, found.fit(lessons)) for found in able]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).load_state, (self.dump_state(),)

    def dump_state(self) -> dict[str, Any]:
        """Return what DSPy saves."""
        return {"name": self.name}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> EmbeddedStudent:
        """Rebuild from `dump_state`."""
        return cls(state["name"])


class EmbeddedTeacher(EmbeddedStudent):
    """The ensemble of the three students (margins added up); it also answers the reflection and revision signatures."""

    def __init__(self) -> None:
        super().__init__("embedded/teacher")
        self.kinds = KINDS

    def classifies(self, names: Sequence[str]) -> bool:
        """Return whether the fields that a prompt asks for are labels."""
        return names[:1] != (REFLECT_OUTPUT,) and names != (REVISE_OUTPUT,)

    def write(self, asked: _Asked) -> dict[str, object]:
        """Return a reflection or a revision."""
        exemplars, cases = json.loads(asked.inputs["exemplars"]), json.loads(asked.inputs["failure_cases"])
        if asked.names == (REVISE_OUTPUT,):
            rng = stream(asked.request.config.seed or 0, "embedded revision", _text(asked.request))
            return {REVISE_OUTPUT: swap_cases(exemplars, cases, rng)}
        answers = {REFLECT_OUTPUT: reflect(exemplars, cases), "kind": kind_of_mistake(cases)}
        return {name: answers[name] for name in asked.names}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> EmbeddedTeacher:
        """Rebuild from `dump_state`."""
        return cls()


def margins_of(fits: Sequence[tuple[TextClassifier, Fit]], texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return the labels' margins, shape (texts, labels), added up over the classifiers."""
    margins = [fit.margins(source.features.exam(tuple(texts))) for source, fit in fits]
    return margins[0] if len(margins) == 1 else np.sum(margins, axis=0)


def log_softmax(margins: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return log-probabilities, shape (texts, labels)."""
    below = margins - margins.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))


def encode_label(text: str, label: str, sure: Mapping[str, float]) -> str:
    """Return an answer's log-probabilities: certain but for the label, whose probabilities are given."""
    head, tail = _around(text, label)
    return f"{head}{encode([(label, sure[label], sure)])[1:-1]}{tail}"


@functools.lru_cache(maxsize=256)
def _around(text: str, label: str) -> tuple[str, str]:
    """Return the log-probabilities of what an answer has before and after its label, as they stand around its own."""
    before, _, after = text.rpartition(label)
    return f"{encode([(before, 0.0, {})])[:-1]}, ", f", {encode([(after, 0.0, {})])[1:]}"


def _text(request: Request) -> str:
    return request.messages[-1].text or ""


def reflect(exemplars: list[dict[str, str]], cases: list[dict[str, Any]]) -> str:
    """Name the words that the failure cases have and the exemplars have not, the most frequent first."""
    words = re.compile(r"(?u)\b\w\w+\b").findall
    seen = {word for exemplar in exemplars for value in exemplar.values() for word in words(value.lower())}
    fresh: Counter[str] = Counter()
    for case in cases:
        fresh.update(set(words(" ".join(case["inputs"].values()).lower())) - seen)
    named = [word for word, _ in sorted(fresh.items(), key=lambda item: (-item[1], item[0]))][:WORDS_NAMED]
    return (
        f"The exemplars have no example with words such as {', '.join(named) or '(none)'}, "
        "so students who read them had nothing to judge these cases by."
    )


def kind_of_mistake(cases: list[dict[str, Any]]) -> str:
    """Name the commonest mistake in cases: with two answers, whether the later one in the alphabet was missed."""
    pairs = [
        (right, wrong)
        for case in cases
        for right in case["answer"].values()
        for wrong in case["students_answered"].values()
    ]
    known = sorted({right for right, _ in pairs} | {wrong for _, wrong in pairs if wrong != UNREADABLE})
    kinds = Counter(
        "off-topic"
        if wrong == UNREADABLE
        else "label confusion"
        if len(known) > 2
        else "missed cue"
        if right == known[-1]
        else "false cue"
        for right, wrong in pairs
    )
    return min(kinds, key=lambda kind: (-kinds[kind], kind)) if kinds else "off-topic"


def swap_cases(
    exemplars: list[dict[str, str]], cases: list[dict[str, Any]], rng: np.random.Generator
) -> list[dict[str, str]]:
    """Let a random share of the failure cases take the places of exemplars with the same label."""
    revised = list(exemplars)
    count = int(rng.integers(1, len(cases) + 1)) if cases else 0
    taken: set[int] = set()
    for index in rng.permutation(len(cases))[:count]:
        case = cases[index]
        same = [
            i
            for i, old in enumerate(revised)
            if i not in taken and all(old.get(k) == v for k, v in case["answer"].items())
        ]
        if same:
            place = same[int(rng.integers(len(same)))]
            taken.add(place)
            revised[place] = {**case["inputs"], **case["answer"]}
    return revised
