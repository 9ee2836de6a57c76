"""An exam of the paper's size fits one machine: bounded memory, a small journal, and a resume that asks nothing."""

import pytest

from lbt_dspy.benchmarks.studies.exam_size.command import (
    LESSONS,
    PROBLEMS,
    SITTINGS,
    SizeOptions,
    check_same,
    fresh_run,
)
from lbt_dspy.benchmarks.studies.exam_size.runs import measure

MOST_ADDED_MB = 100
MOST_BYTES_PER_SITTING = 200
"""Beside the distinct texts."""


def check_sizes(first, resume, sittings):
    assert (first.sittings, first.calls) == (sittings, sittings)
    assert (resume.sittings, resume.calls) == (sittings, 0)
    check_same(first, resume)
    for run in (first, resume):
        assert run.journal_bytes <= MOST_BYTES_PER_SITTING * sittings + run.text_bytes


def test_a_fiftieth_of_the_paper_has_a_small_journal_and_is_resumed_without_a_call(tmp_path):
    problems = round(PROBLEMS / 50)
    first, resume = (measure(str(tmp_path / "journal.sqlite"), problems, LESSONS, SITTINGS) for _ in range(2))
    check_sizes(first, resume, problems * LESSONS * SITTINGS)


@pytest.mark.slow
def test_a_third_of_the_papers_size_fits_one_machine(tmp_path):
    args = SizeOptions(problems=60)
    ballast = bytearray(400 * 2**20)  # what this process has, the measured ones did not need
    first, resume = (fresh_run(tmp_path / "journal.sqlite", args) for _ in range(2))
    check_sizes(first, resume, 60 * LESSONS * SITTINGS)
    for run in (first, resume):
        assert run.rss_peak_mb - run.rss_before_mb <= MOST_ADDED_MB < len(ballast) / 2**20
