"""M2: the teacher learns from its students' exams, by direct preference optimization of its lessons.

Ning et al., NeurIPS 2024, arXiv 2406.14629, section on learning from the feedback; DPO: Rafailov et al., NeurIPS 2023,
arXiv 2305.18290.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dspy
from dspy.teleprompt import Teleprompter

from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.teleprompters.dpo.options import DPOOptions
from lbt_dspy.teleprompters.dpo.steps import Tuned, tune
from lbt_dspy.teleprompters.dpo.trainer import train
from lbt_dspy.teleprompters.dpo.training_folder import made_folder


@dataclass(frozen=True, kw_only=True, eq=False)
class LbTDPO(DPOOptions, Teleprompter):  # type: ignore[misc]
    """Fine-tunes a teacher on preference pairs of its lessons: that is preferred which taught its students better.

    Each round the teacher samples lessons of the training problems, exam students sit exams after each, lessons of one
    problem whose scores lie apart become pairs, and DPO trains the teacher on them. Then it answers `valset` greedily,
    as it did before; where it is not better, the old model stays. Use it where you can train the teacher and have many
    problems like those it will be asked; reference answers of the problems help but are not needed (`weight=0`). Costs
    `rationales` teacher calls and up to `rationales * students * problems * sittings` student calls a problem and
    round, and two answers a problem of `valset`. See docs/m2.md.

    Args:
        exam_students: As in `LbTRerank`, as are `exam`, `grader`, `rationales` (the paper: 32), `sittings`,
            `temperature`, `config`, `adapter`, `predictor`, `answer_field`, `lm_config`, `budget` and `ledger`.
        folder: Where pairs, checkpoints and records are written; a stopped run goes on from there.
        weight: Of correctness in a lesson's score, in [0, 1], the rest is its LbT score; problems without a reference
            answer count by LbT score alone. 0: reference answers are not used; 1: pairs from correctness alone.
        gap: Lessons whose scores are more than this apart make a pair, in [0, 1).
        per_problem: Most pairs of a problem, at least 1.
        trainer: `trl`. It and `beta`, `nll_weight`, `learning_rate`, `epochs`, `batch_size` and `lora` are as in
            `DPOSettings`: unless given the paper's, for models of 8B parameters; smaller models need larger steps.
        base_model: The model to train: a folder, or a name on the Hugging Face hub; `None`: that of the teacher's LM,
            where it runs in the process or is a vLLM server's.
        serve: Gives the LM of a checkpoint, e.g. `lbt_dspy.lms.vllm_server.VLLM()`; `None`: in process where the
            teacher runs so, else it is not served: the command that serves it is said, and the program keeps its LM.
        rounds: How often, at least 1; each begins with the model of the one before.
        export_only: Write the pairs and train nothing; needs no extra.
        seed: Seeds lessons, sittings, pairs and training.

    Raises:
        UserError: An option is out of bounds, or what training needs is not installed.

    Example:
        >>> import dspy, tempfile
        >>> from lbt_dspy import Fixed, LbTDPO
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
        >>> problems = [dspy.Example(question="13 + 18", answer="31").with_inputs("question")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     optimiser = LbTDPO(
        ...         exam_students=[student], exam=Fixed(bank), rationales=12, folder=folder, export_only=True
        ...     )
        ...     card = optimiser.optimize(program, trainset=problems).rounds[0].card
        >>> card["pairs"], card["chosen_wrong"]
        (1, 0.0)
    """

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
    ) -> dspy.Module:
        """Return the program with the tuned model, or with its own where that is not better.

        Args:
            student: The program (DSPy's word; in learning by teaching it is the teacher). It is not changed.
            trainset: Problems to make lessons of.
            valset: Problems with reference answers, on which the teacher is measured before and after; without them the
                tuned model is kept unseen.

        Raises:
            BudgetSpentError: The next call could exceed the budget; compile again to go on.
            UserError: No pair comes of the lessons, or the model cannot be trained.
            LbTError: The training diverged, or ran out of memory.
        """
        return self.optimize(student, trainset=trainset, valset=valset).program

    def optimize(
        self,
        program: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        account: Account | None = None,
    ) -> Tuned:
        """As `compile`, with the record of each round beside the program; calls are counted in `account`."""
        with self._paying() as ledger:
            return tune(self, train, program, ledger, trainset, valset or (), Account() if account is None else account)

    @contextlib.contextmanager
    def _paying(self) -> Iterator[Ledger]:
        """Give the ledger, with a journal in the folder unless one was given."""
        if self.ledger is not None:
            yield self.ledger
            return
        ledger = Ledger(Journal(made_folder(Path(self.folder)) / "journal.sqlite"), self.budget)
        try:
            yield ledger
        finally:
            ledger.close()
