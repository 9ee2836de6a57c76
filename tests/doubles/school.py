"""A double of a school: teachers and students that answer by prompt and seed, and note what they were asked."""

import json
import re
import threading
from fractions import Fraction

import dspy
from dspy import lm15

from lbt_dspy import Fixed, LbTRerank
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.sampling import digest_int

FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n\[\[ ## |\Z|\n\nRespond with)", re.DOTALL)
ASKED = re.compile(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?`")


def fields_of(text):
    """Read a prompt's or an answer's fields, in the layout of either adapter."""
    try:
        return {k: str(v) for k, v in json.loads(text).items()}
    except ValueError:
        return {name: value.strip() for name, value in FIELD.findall(text) if name != "completed"}


def draw(*parts):
    """A number in [0, 1) that depends on `parts` alone."""
    return digest_int(*parts) / 2**63


class Pupil(ModelEngine):
    """Answers as `answers(inputs, lessons, seed)` says: a dict of fields, a raw text, or an error to raise.

    `inputs` are the fields of the question; `lessons` those of each demonstration, inputs and outputs together.
    `asked` holds every request as (inputs, lessons, seed, what was answered), retries too.
    """

    def __init__(self, name, answers):
        super().__init__(name, name)
        self.answers = answers
        self.asked = []
        self.configs = []
        self._lock = threading.Lock()

    def dump_state(self):
        return {"name": self.name}

    @classmethod
    def load_state(cls, state):
        raise NotImplementedError("a double knows its answers only in its own process")

    def answer(self, request, faults=()):
        texts = [message.text or "" for message in request.messages]
        pairs = zip(texts[:-1:2], texts[1::2], strict=True)
        lessons = [{**fields_of(question), **fields_of(given)} for question, given in pairs]
        inputs, seed = fields_of(texts[-1]), request.config.seed
        said = self.answers(inputs, lessons, seed)
        with self._lock:
            self.asked.append((inputs, lessons, seed, said))
            self.configs.append(request.config)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, str):
            return Answer(said)
        _, _, wanted = texts[-1].rpartition("Respond with")
        values = {name: said[name] for name in dict.fromkeys(ASKED.findall(wanted)) if name != "completed"}
        if "JSON object" in wanted:
            return Answer(json.dumps(values))
        return Answer("\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()))


def teacher(question_to_answers, *, fails=0.0):
    """Draws one of a question's answers for each seed, with one of three ways to reason."""

    def answers(inputs, lessons, seed):
        if draw("fails", inputs["question"], seed) < fails:
            return lm15.ServerError("overloaded")
        choices = question_to_answers[inputs["question"]]
        answer = choices[int(draw("answer", inputs["question"], seed) * len(choices))]
        return {"answer": answer, "reasoning": f"way {int(draw('way', seed) * 3)} to {answer}"}

    return lm_of(Pupil("school/teacher", answers))


def student(name="school/ann", *, right=0.8, wrong=0.3, fails=0.0):
    """Answers `ok` to exam problems, more often after a lesson whose answer begins with `right`."""

    def answers(inputs, lessons, seed):
        read = lessons[-1]["answer"] if lessons else "nothing"
        place = (name, inputs["question"], json.dumps(lessons), seed)
        if draw("fails", *place) < fails:
            return lm15.ServerError("overloaded")
        return {
            "answer": "ok" if draw(*place) < (right if read.startswith("right") else wrong) else "no",
            "reasoning": "-",
        }

    return lm_of(Pupil(name, answers))


def asked(lm):
    """What an LM of this school was asked."""
    return lm.engine.asked


QUESTIONS = {
    f"Q{i}: what is it?": ["wrong-a"] * 2 + ["wrong-b"] * (1 + i % 2) + [f"right{i}", f"RIGHT{i} ".strip()]
    for i in range(8)
}
EXAM = [dspy.Example(question=f"E{i}: and this?", answer="ok").with_inputs("question") for i in range(3)]


ASK = list(QUESTIONS)


def program(lm=None):
    found = dspy.ChainOfThought("question -> answer")
    found.set_lm(lm or teacher(QUESTIONS))
    return found


def rerank(**options):
    given = {"exam_students": [student()], "exam": Fixed(EXAM), "rationales": 12, "sittings": 2}
    return LbTRerank(**{**given, **options})


def expected_choice(rule, lessons, students):
    """Choose by the paper's words from (answer, {student: [marks]}) per lesson: an implementation of its own."""
    scores = []
    for _, marks in lessons:
        means = [
            Fraction(sum(map(int, measured)), len(measured))
            for s in students
            if (measured := [m for m in marks.get(s, ()) if m is not None])
        ]
        scores.append(sum(means) / len(means) if means else Fraction(0))
    best = None
    for place, answer in enumerate(dict.fromkeys(answer for answer, _ in lessons)):
        own = [score for (a, _), score in zip(lessons, scores, strict=True) if a == answer]
        worth = {"sum": sum(own), "max": max(own), "avg": sum(own) / len(own), "maj": len(own)}[rule]
        entry = ((worth, len(own), -place), answer)
        best = entry if best is None else max(best, entry)
    return best[1]
