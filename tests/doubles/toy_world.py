"""A world in which lessons teach: "What is 3 and 4?" means 3 + 4, and models that were not taught so multiply.

Models answer by prompt. One that samples (a temperature, no seed) alternates over the draws of one prompt.
"""

import json
import re
import threading
from collections import Counter

import dspy

from lbt_dspy import Fixed, LbTRerank
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of

TAUGHT = "Add the two numbers."
PLUS, TIMES = "plus", "times"


class Toy(ModelEngine):
    in_process = True

    def __init__(self, name="toy/model", identity=None):
        super().__init__(name, identity or name)
        self.prompts = []
        self.drawn = Counter()
        self._lock = threading.Lock()

    def answer(self, request, faults=()):
        text = "\n".join([str(request.system or ""), *(message.text for message in request.messages)])
        with self._lock:
            self.prompts.append(text)
        last = request.messages[-1].text
        wanted = re.findall(r"\[\[ ## (\w+) ## \]\]", last.split("Respond with")[-1]) if "Respond with" in last else []
        if "question" in wanted:
            return Answer(f"[[ ## question ## ]]\nWhat is {self.read(text, last)}?\n\n")
        if "answer" not in wanted:
            return Answer(written(wanted, as_json=re.findall(r"`(\w+)`", last.split("Respond with")[-1])))
        a, b = map(int, re.findall(r"\d+", last.split("[[ ## question ## ]]")[-1])[:2])
        word = self.operation(request, text, a)
        fields = {"reasoning": f"{a} {word} {b}", "answer": a + b if word == PLUS else a * b}
        return Answer("".join(f"[[ ## {name} ## ]]\n{fields[name]}\n\n" for name in wanted if name in fields))

    def read(self, text, last):
        """The numbers of a note; one that was not taught so mistakes them."""
        a, b = map(int, re.findall(r"\d+", last.split("[[ ## note ## ]]")[-1])[:2])
        return f"{a} and {b}" if TAUGHT in text else f"{a} and {a}"

    def operation(self, request, text, a):
        if TAUGHT in text or f" {PLUS} " in text:
            return PLUS
        if request.config.seed is not None:
            return PLUS if request.config.seed % 3 == 0 else TIMES
        if request.config.temperature:
            with self._lock:
                self.drawn[text] += 1
                return TIMES if self.drawn[text] % 2 else PLUS
        return PLUS if a % 2 else TIMES


def written(fields, *, as_json):
    """What an optimiser's own prompts get: instructions, advice."""
    advice = {"predict": TAUGHT, "self": TAUGHT}
    texts = {name: json.dumps(advice) if "advice" in name else TAUGHT for name in fields}
    chat = "".join(f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in texts.items())
    return chat or json.dumps(dict.fromkeys(as_json, TAUGHT))


class Pupil(Toy):
    """Does what its lesson does, else multiplies; instructions say nothing to it."""

    def operation(self, request, text, a):
        return PLUS if f" {PLUS} " in text else TIMES


def sums(numbers, gap):
    """Questions with their true answers."""
    return [dspy.Example(question=f"What is {n} and {n + gap}?", answer=str(2 * n + gap)).with_inputs("question")
            for n in numbers]  # fmt: skip


BANK = sums(range(13, 17), 5)
TEACHING = sums(range(3, 9), 1)


def teacher():
    return lm_of(Toy("toy/teacher"))


def pupil(name="toy/pupil"):
    return lm_of(Pupil(name))


def solver():
    return dspy.ChainOfThought("question -> answer")


class Desk(dspy.Module):
    """Reads a note, then has its question answered by the best of many lessons."""

    def __init__(self, exam_students=None, **options):
        super().__init__()
        self.read = dspy.Predict("note -> question")
        students = [pupil()] if exam_students is None else exam_students
        self.solve = LbTRerank(exam_students=students, exam=Fixed(BANK, problems=2), rationales=6, **options).compile(
            solver()
        )

    def forward(self, note):
        found = self.solve(question=self.read(note=note).question)
        return dspy.Prediction(answer=found.answer, lbt_score=found.lbt_score, votes=found.votes)


NOTES = [dspy.Example(note=f"{n} things, {n + 1} more", answer=str(2 * n + 1)).with_inputs("note") for n in range(3, 9)]
