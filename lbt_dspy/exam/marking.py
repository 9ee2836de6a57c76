"""Replies to marks: parsed, graded, and each pair of question and answer only once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import dspy

from lbt_dspy.exam.grading import Grader, graded
from lbt_dspy.exam.likelihood import label_probabilities
from lbt_dspy.exam.render import Renderer, UnreadableError
from lbt_dspy.types import ExamProblem, Mark, Reply, Sitting
from lbt_dspy.values import label_text
from lbt_dspy.warned import warnings_shown

CACHED_SITTINGS = 8192
CACHED_PROBABILITIES = 1 << 15


class Marker:
    """Marks replies. Equal answers to a question are graded once.

    Args:
        renderer: Reads the output fields out of replies.
        grader: Gives each answer its mark.
        probabilities_of: Name of the label's field, when sittings are to say how probable each label was.
        labels: All labels, with `probabilities_of`.
    """

    def __init__(
        self, renderer: Renderer, grader: Grader, *, probabilities_of: str | None = None, labels: Sequence[str] = ()
    ) -> None:
        self._renderer = renderer
        self._grader = grader
        self._probabilities_of = probabilities_of
        self._labels = tuple(labels)
        self._likely = lru_cache(CACHED_PROBABILITIES)(label_probabilities)
        self._marked: dict[tuple[int, str], tuple[dspy.Example, Sitting]] = {}

    def sitting(self, problem: ExamProblem, reply: Reply) -> Sitting:
        """Return the sitting whose reply this is; not measured where there was none, 0 where it cannot be read."""
        if reply.text is None:
            return Sitting(fields=None, mark=Mark(value=None, reason=reply.reason))
        if not reply.text.strip() and reply.reason is not None:
            return Sitting(fields=None, mark=Mark(value=0.0, reason=reply.reason))
        example = problem.example
        hit = self._marked.get((id(example), reply.text))
        if hit is None:
            if len(self._marked) >= CACHED_SITTINGS:
                self._marked.clear()
            hit = self._marked[id(example), reply.text] = (example, self._mark(example, reply.text))  # keeps its id
        marked, name = hit[1], self._probabilities_of
        if name is None or reply.logprobs is None or marked.fields is None:
            return marked
        likely = self._likely(reply.logprobs, label_text(marked.fields[name]), self._labels)
        return Sitting(fields=marked.fields, mark=marked.mark, probabilities=likely)

    def _mark(self, example: dspy.Example, text: str) -> Sitting:
        try:
            fields = self._renderer.parse(text)
        except UnreadableError as error:
            return Sitting(fields=None, mark=Mark(value=0.0, reason=str(error)))
        with warnings_shown():
            mark = graded(self._grader, example, fields)
        return Sitting(fields=fields, mark=mark)
