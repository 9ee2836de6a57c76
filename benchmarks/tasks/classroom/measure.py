"""Measure the classroom's models with transformers: `python benchmarks/tasks/classroom/measure.py` (extra `train`).

Students: exam answers after right lessons, after wrong ones (whose answer to the teaching problem differs), and with no
lesson, greedily. Teacher: greedily; and over 24 samples: whether the right answer is among them, self-consistency, and
LbTRerank's rules with one greedy sitting of each student at each of three variants.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from lbt_dspy.benchmarks.tasks.classroom.problems import ClassroomProblems, classroom_problems
from lbt_dspy.benchmarks.tasks.classroom.world import Problem, line
from lbt_dspy.exam.selection import RULES, CandidateLesson, select

HOME = Path(__file__).parents[3] / "lbt_dspy" / "lms" / "embedded" / "classroom"
STUDENTS = ("student-a", "student-b")
SAMPLES = 24
TEMPERATURE = 1.0
"""Of the teacher's samples: its beliefs are its probabilities, and 1 draws them as they are."""
BATCH = 512
SOLUTION = re.compile(r"R (.+) A (\d)")
Shares = dict[str, list[float]]
"""Marks by what was measured."""


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A model and its tokenizer."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast

    @classmethod
    def load(cls, folder: Path) -> Speaker:
        """Return the model of a checkpoint, in 32 bit."""
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return cls(model=model, tokenizer=PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left"))

    def answers(self, prompts: Sequence[str], temperature: float = 0.0, seed: int = 0) -> list[tuple[str, str]]:
        """Return reasoning and answer to each prompt, empty where they cannot be read."""
        torch.manual_seed(seed)
        how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        places, found = sorted(range(len(prompts)), key=lambda n: len(prompts[n])), {}
        for first in range(0, len(places), BATCH):
            batch = places[first : first + BATCH]
            asked = self.tokenizer([prompts[n] for n in batch], return_tensors="pt", padding=True)
            with torch.inference_mode():
                numbers = self.model.generate(
                    input_ids=asked.input_ids, attention_mask=asked.attention_mask, max_new_tokens=40, **how
                )
            texts = self.tokenizer.batch_decode(numbers[:, asked.input_ids.shape[1] :], skip_special_tokens=True)
            found |= {n: _read(text) for n, text in zip(batch, texts, strict=True)}
        return [found[n] for n in range(len(prompts))]

    def distinct_answers(self, prompts: Sequence[str]) -> list[str]:
        """Return the greedy answers, asking equal prompts once."""
        once = list(dict.fromkeys(prompts))
        known = dict(zip(once, (answer for _, answer in self.answers(once)), strict=True))
        return [known[prompt] for prompt in prompts]


def measure_student(student: Speaker, problems: ClassroomProblems) -> Shares:
    """Return marks of exam answers after right, wrong and no lessons, and after right ones by steps."""
    shares: Shares = {}
    asked: list[tuple[str, str, Problem]] = []
    for taught, variants in zip(problems.teaching, problems.variants, strict=True):
        solutions = [taught.work(candidate) for candidate in taught.skill.candidates]
        lessons = {
            "right": [solutions[0]],
            "wrong": [s for s in solutions[1:] if s[1] != solutions[0][1]],
            "no": [None],
        }
        for kind, kept in lessons.items():
            for lesson in kept:
                shown = line(taught.question, *lesson) if lesson else ""
                asked += [(kind, shown + line(variant.question), variant) for variant in variants]
    given = student.distinct_answers([prompt for _, prompt, _ in asked])
    for (kind, _, variant), answer in zip(asked, given, strict=True):
        mark = float(answer == str(variant.work()[1]))
        shares.setdefault(f"{kind} lesson", []).append(mark)
        if kind == "right":
            shares.setdefault(f"right lesson of {len(variant.skill.procedure.steps)} steps", []).append(mark)
    return shares


def measure_teacher(teacher: Speaker, students: Sequence[Speaker], problems: ClassroomProblems, seed: int) -> Shares:
    """Return the marks of the teacher's answers by how they were chosen, in all and by p."""
    questions = [line(problem.question) for problem in problems.teaching]
    greedy = [answer for _, answer in teacher.answers(questions)]
    drawn = teacher.answers([question for question in questions for _ in range(SAMPLES)], TEMPERATURE, seed)
    scores = [_lesson_scores(student, problems, drawn) for student in students]
    shares: Shares = {}
    for place, problem in enumerate(problems.teaching):
        right = str(problem.work()[1])
        rows = slice(place * SAMPLES, (place + 1) * SAMPLES)
        answers = [answer for _, answer in drawn[rows]]
        chosen = {"greedy": greedy[place]}
        for used in range(1, len(students) + 1):
            lessons = [
                CandidateLesson(answer=ord(answer or "?"), score=sum(marks) / used)
                for answer, marks in zip(
                    answers, zip(*(score[rows] for score in scores[:used]), strict=True), strict=True
                )
            ]
            suffix = "" if used == 1 else f" of {used} students"
            chosen |= {("sc" if rule == "maj" else rule + suffix): chr(select(rule, lessons)) for rule in RULES}
        marks = {name: float(answer == right) for name, answer in chosen.items()}
        marks["among samples"] = float(right in answers)
        for name, mark in marks.items():
            shares.setdefault(name, []).append(mark)
            shares.setdefault(f"{name}, p = {problem.skill.p}", []).append(mark)
    return shares


def measure_few_shot(teacher: Speaker, problems: ClassroomProblems) -> Shares:
    """Return marks of the teacher's greedy answers after the labelled variants, with and without their reasoning."""
    shares: Shares = {}
    for kind, reasoned in (("reasoning", True), ("answers", False)):
        prompts = []
        for taught, variants in zip(problems.teaching, problems.variants, strict=True):
            works = [(variant.question, *variant.work()) for variant in variants]
            shown = [line(question, reasoning if reasoned else None, answer) for question, reasoning, answer in works]
            prompts.append("".join(shown) + line(taught.question))
        given = teacher.answers(prompts)
        right = [str(problem.work()[1]) for problem in problems.teaching]
        shares[f"few-shot with {kind}"] = [float(a == r) for (_, a), r in zip(given, right, strict=True)]
    return shares


def _lesson_scores(student: Speaker, problems: ClassroomProblems, drawn: Sequence[tuple[str, str]]) -> list[Fraction]:
    prompts, right = [], []
    for place, (reasoning, answer) in enumerate(drawn):
        problem = place // SAMPLES
        lesson = line(problems.teaching[problem].question, reasoning, answer) if answer else ""
        prompts += [lesson + line(variant.question) for variant in problems.variants[problem]]
        right += [str(variant.work()[1]) for variant in problems.variants[problem]]
    marks = [a == r for a, r in zip(student.distinct_answers(prompts), right, strict=True)]
    size = len(marks) // len(drawn)
    return [Fraction(sum(marks[n : n + size]), size) for n in range(0, len(marks), size)]


def _read(text: str) -> tuple[str, str]:
    match = SOLUTION.fullmatch(text.strip())
    return (match[1], match[2]) if match else ("", "")


def report(home: Path, split: str, number: int, seeds: Sequence[int]) -> str:
    """Return a Markdown table of what was measured: percent, and of how many."""
    teacher, *students = (Speaker.load(home / name) for name in ("teacher", *STUDENTS))
    shares: Shares = {}
    for seed in seeds:
        problems = classroom_problems(number, seed=seed, split=split)
        parts = [("teacher", measure_teacher(teacher, students, problems, seed))]
        parts.append(("teacher", measure_few_shot(teacher, problems)))
        parts += [(name, measure_student(student, problems)) for name, student in zip(STUDENTS, students, strict=True)]
        for who, measured in parts:
            for name, marks in measured.items():
                shares.setdefault(f"{who}: {name}", []).extend(marks)
    rows = [f"| {name} | {100 * np.mean(marks):.1f} | {len(marks)} |" for name, marks in sorted(shares.items())]
    return "\n".join(["| measured | % right | of |", "|---|---|---|", *rows])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=HOME, help="folder of the checkpoints (default: the package's)")
    parser.add_argument("--split", default="dev", help="dev or test")
    parser.add_argument("--problems", type=int, default=270, help="for each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    print(report(args.models, args.split, args.problems, args.seeds))


if __name__ == "__main__":
    main()
