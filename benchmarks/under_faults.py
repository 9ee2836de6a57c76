"""Exams against a server that fails as real ones do; see `benchmarks/studies/under_faults`."""

import sys

from lbt_dspy.benchmarks.studies.under_faults.command import main

if __name__ == "__main__":
    sys.exit(main())
