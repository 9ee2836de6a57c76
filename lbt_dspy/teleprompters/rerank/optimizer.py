"""M1: pick the best of many sampled answers by teaching.

Ning et al., "Can LLMs Learn by Teaching for Better Reasoning? A Preliminary Study", NeurIPS 2024, arXiv 2406.14629,
section on observing the students' feedback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dspy
from dspy.teleprompt import Teleprompter

from lbt_dspy.dspy_private import set_compiled
from lbt_dspy.exam.shapes import check_program
from lbt_dspy.teleprompters.rerank.options import RerankOptions
from lbt_dspy.teleprompters.rerank.program import RerankedProgram


@dataclass(frozen=True, kw_only=True, eq=False)
class LbTRerank(RerankOptions, Teleprompter):  # type: ignore[misc]
    """Answers with the best of many sampled answers: the one whose solutions teach students best.

    Use it where the students' exam is like the question: functional variants, near neighbours or problems of the same
    kind, with known answers. With unlike exam problems it may be worse than the majority; compare with
    `selection="maj"`. Costs `rationales` teacher calls a question, and up to `rationales * students * problems *
    sittings` student calls, of which the schedule saves most. See docs/m1.md.

    Args:
        exam_students: LMs, or names as on the command line (`embedded/...`, a LiteLLM model string, a name of the
            `lm_config`). May be empty for `selection="maj"`.
        exam: Makes the exam of a question, e.g. `Variants(bank)`. `None` only for `selection="maj"`.
        grader: Marks the students' answers, and says which answers are the same; `None`: `ExactMatch(answer)`.
        rationales: N, lessons sampled for a question, 1 to 65,536. The paper: 256; 24 is the affordable setting.
        sittings: Sittings of each student on each exam problem after each lesson, at least 1; `None`: 3, but 1 with
            `mark="evidence"`, which takes no other number.
        mark: Of a sitting: `grade`: the student answers, and the grader marks it; `evidence`: how much likelier the
            lesson makes the reference answer (arXiv 2603.09803). The latter needs students that say how likely a given
            text is (vLLM servers, `embedded/classroom-*`) and a program of one predictor; beside the calls above it
            costs one for each student and problem of a question, and exam problems should have their solutions.
        evidence_scale: Of `evidence`, above 0, in nats per token: the gain that has the mark .73. The same for all
            questions; smaller makes marks more like 0 and 1.
        selection: `sum`: the answer with the largest sum of LbT scores; `max`: that of the lesson with the best one;
            `avg`: with the largest mean; `maj`: most lessons, no exam (self-consistency); or a function of an
            answer's LbT scores, `(scores) -> worth`, that never falls when a score rises (`SelectionRule`). Ties: more
            lessons, then first seen.
        schedule: `lossless`: stops an exam as soon as nothing can change the answer; `confident`: when the estimated
            risk is at most `delta`; `full`: never (for LbT scores of every lesson).
        delta: Risk of `confident`, in [0, 0.5), 0 is `lossless`: calibrated on average, not a guarantee for a question.
        gate: Stop sampling when the first so many lessons agree (Li et al., ESC, arXiv 2401.10480), at least 2; `None`:
            always sample all.
        screen: A grader that tries each lesson's own answer with what the question shows: `ProgramTests()` with the
            question's `visible` tests. Lessons that fail it are neither examined nor counted; where all fail, all stay.
            `None`: none is tried.
        in_flight: Sittings asked at a time for one question, at least 1; more is faster and saves a little less.
        choices: Whether the full exam asks all sittings of a student at a problem in one request, as its choices (`n`),
            where the student's server does that: the prompt is then read once. Off, its sittings are the very ones of
            which other schedules ask some, so that they can be compared.
        temperature: Of the lessons, over whatever the program has; `None`: as predictor and LM have it.
        config: Sampling settings of the sittings that a student's LM leaves open; `{"temperature": 0.7}` unless given.
        demonstrations: Fixed demonstrations of the students' own, before every lesson.
        rationale: False: students read the question and the answer of a lesson, not how it was found.
        answer_field: The program's output field with the answer; `None`: the grader's field, else the last output.
        predictor: Whose text is the lesson; `None`: the only predictor, or the only one that gives the answer's field
            (where that is not said: a field that the exam's problems have too).
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        lm_config: A LiteLLM YAML for students given by name.
        budget: Limits all calls of the compiled program, over its life; not beside `ledger`.
        ledger: Pays for all calls, with journal, budget and workers; `None`: one in memory.
        seed: Seeds lessons and sittings.

    Raises:
        UserError: An option is out of bounds.

    Example:
        >>> import dspy
        >>> from lbt_dspy import ExactMatch, Fixed, LbTRerank
        >>> from lbt_dspy.testing import scripted_lm
        >>> def teach(inputs, lessons, seed):  # most of its lessons forget to carry the one
        ...     way, answer = ("carried", "31") if seed % 3 == 0 else ("added", "21")
        ...     return {"reasoning": way, "answer": answer}
        >>> def learn(inputs, lessons, seed):  # does as the lesson does
        ...     return {"reasoning": "as shown", "answer": "42" if lessons[-1]["reasoning"] == "carried" else "32"}
        >>> teacher, student = scripted_lm(teach, "teacher"), scripted_lm(learn, "student")
        >>> bank = [dspy.Example(question="15 + 27", answer="42").with_inputs("question")]
        >>> program = dspy.ChainOfThought("question -> answer")
        >>> program.set_lm(teacher)
        >>> reranked = LbTRerank(exam_students=[student], exam=Fixed(bank), rationales=12).compile(program)
        >>> found = reranked(question="13 + 18")
        >>> found.answer, found.lbt_score, found.exam.overturned
        ('31', 1.0, True)
    """

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example] | None = None,
        valset: Sequence[dspy.Example] | None = None,
    ) -> RerankedProgram:
        """Return the program that samples, examines and selects whenever it is called. Nothing is trained.

        Args:
            student: The program (DSPy's word; in learning by teaching it is the teacher). It is not changed.
            trainset: Not used.
            valset: Not used.

        Raises:
            UserError: It is no program, or it has no predictor whose text could be the lesson, or several.
        """
        check_program(student)
        program = student.deepcopy()
        set_compiled(program, False)  # else DSPy takes it for frozen, and would not save it
        return RerankedProgram(program, self)
