"""Replies to marks: parsed, graded, and each pair of problem and reply only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lbt_dspy.exam.grading import Grader
from lbt_dspy.exam.likelihood import label_probabilities
from lbt_dspy.exam.render import Renderer, UnreadableError
from lbt_dspy.types import ExamProblem, Mark, Reply, Sitting

CACHED_SITTINGS = 8192


class Marker:
    """Marks replies. Equal replies to a problem share one record.

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
        self._marked: dict[tuple[int, str, str | None], tuple[ExamProblem, Sitting]] = {}

    def sitting(self, problem: ExamProblem, reply: Reply) -> Sitting:
        """Return the sitting whose reply this is; not measured where there was none, 0 where it cannot be read."""
        if reply.text is None:
            return Sitting(fields=None, mark=Mark(value=None, reason=reply.reason))
        key = (id(problem), reply.text, reply.logprobs)
        hit = self._marked.get(key)
        if hit is None:
            if len(self._marked) >= CACHED_SITTINGS:
                self._marked.clear()
            hit = self._marked[key] = (problem, self._mark(problem, reply.text, reply.logprobs))  # keeps its id taken
        return hit[1]

    def _mark(self, problem: ExamProblem, text: str, logprobs: str | None) -> Sitting:
        try:
            fields = self._renderer.parse(text)
        except UnreadableError as error:
            return Sitting(fields=None, mark=Mark(value=0.0, reason=str(error)))
        mark = self._grader.grade(problem.example, fields)
        return Sitting(fields=fields, mark=mark, probabilities=self._probabilities(logprobs, fields))

    def _probabilities(self, logprobs: str | None, fields: Mapping[str, Any]) -> dict[str, float] | None:
        name = self._probabilities_of
        if name is None or logprobs is None:
            return None
        return label_probabilities(logprobs, str(fields[name]), self._labels)
