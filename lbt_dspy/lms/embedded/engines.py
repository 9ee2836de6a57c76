"""The embedded models as engines: prompt in, answer in the prompt's layout out."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

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


@functools.cache
def classifier(kind: str) -> TextClassifier:
    """Return the one classifier of a kind; students and teacher share its caches."""
    return TextClassifier(kind)


class EmbeddedStudent(ModelEngine):
    """Fits one kind of text classifier on the demonstrations; without two labels to learn from it tosses a coin."""

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
        inputs, names, as_json = self._question(request.messages[-1].text or "")
        scores = self._scores(request, inputs, names[0]) if request.config.logprobs is not None else {}
        if scores and len(names) == 1:
            values: dict[str, object] = {names[0]: max(scores, key=lambda label: scores[label])}
        else:
            values = self.fill(request, inputs, names)
        text = write_answer(values, as_json)
        if request.config.logprobs is None:
            return Answer(text)
        return Answer(text, logprobs=encode_label(text, str(values[names[-1]]), scores if len(names) == 1 else {}))

    def _scores(self, request: Request, inputs: Mapping[str, str], name: str) -> dict[str, float]:
        """Return the margin of each label, none where the demonstrations teach nothing."""
        read = tuple(inputs)
        fits = self._learned(self._reader.read(request), name, read)
        return dict(zip(fits[0][1].labels, margins_of(fits, question_text(inputs, read)), strict=True)) if fits else {}

    def fill(self, request: Request, inputs: Mapping[str, str], names: list[str]) -> dict[str, object]:
        """Return a value for each output field; the last one is the label."""
        prompt = self._reader.read(request)
        return {name: self._label(prompt, inputs, name, request.config.seed) for name in names}

    def _label(self, prompt: Prompt, inputs: Mapping[str, str], name: str, seed: int | None) -> str:
        read = tuple(inputs)
        text = question_text(inputs, read)
        fits = self._learned(prompt, name, read)
        if fits:
            return classify(fits, text)
        options = prompt.options.get(name) or tuple(sorted({answered[name] for _, answered in prompt.demonstrations}))
        if not options:
            raise UserError(
                f"the output field {name!r} has no options in the prompt and no demonstrations: an embedded model "
                "classifies; declare the field as Literal[...]"
            )
        return options[digest_int(seed, self.name, text) % len(options)]

    def _learn(self, prompt: Prompt, name: str, read: tuple[str, ...]) -> list[tuple[TextClassifier, Fit]]:
        """Fit the classifiers on a prompt's demonstrations; none when these have fewer than two labels."""
        lessons = tuple(
            (question_text(asked, read), answered[name])
            for asked, answered in prompt.demonstrations
            if name in answered
        )
        if len({label for _, label in lessons}) < 2:
            return []
        return [(classifier(kind), classifier(kind).fit(lessons)) for kind in self.kinds]

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

    def fill(self, request: Request, inputs: Mapping[str, str], names: list[str]) -> dict[str, object]:
        """Return a value for each output field."""
        if names[:1] == [REFLECT_OUTPUT]:
            cases = json.loads(inputs["failure_cases"])
            answers = {REFLECT_OUTPUT: reflect(json.loads(inputs["exemplars"]), cases), "kind": kind_of_mistake(cases)}
            return {name: answers[name] for name in names}
        if names == [REVISE_OUTPUT]:
            return {REVISE_OUTPUT: self._revise(request, inputs)}
        return super().fill(request, inputs, names)

    def _revise(self, request: Request, inputs: Mapping[str, str]) -> list[dict[str, str]]:
        exemplars, cases = json.loads(inputs["exemplars"]), json.loads(inputs["failure_cases"])
        rng = stream(request.config.seed or 0, "embedded revision", request.messages[-1].text)
        return swap_cases(exemplars, cases, rng)

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> EmbeddedTeacher:
        """Rebuild from `dump_state`."""
        return cls()


def classify(fits: Sequence[tuple[TextClassifier, Fit]], text: str) -> str:
    """Return the label with the largest margin, added up over the classifiers."""
    return fits[0][1].labels[int(np.argmax(margins_of(fits, text)))]


def margins_of(fits: Sequence[tuple[TextClassifier, Fit]], text: str) -> np.ndarray[Any, Any]:
    """Return the labels' margins, added up over the classifiers."""
    margins = [fit.margins(source.features(text)) for source, fit in fits]
    return margins[0] if len(margins) == 1 else np.sum(margins, axis=0)


def encode_label(text: str, label: str, scores: Mapping[str, float]) -> str:
    """Return an answer's log-probabilities: certain but for the label, whose probabilities are a softmax of scores."""
    before, _, after = text.rpartition(label)
    values = np.array(list(scores.values())) if scores else np.zeros(1)
    logs = values - values.max() - np.log(np.exp(values - values.max()).sum())
    top = dict(zip(scores, map(float, logs), strict=True)) if scores else {label: 0.0}
    return encode([(before, 0.0, {}), (label, top.get(label, 0.0), top), (after, 0.0, {})])


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
