"""How long a grade takes in the sandbox; see `benchmarks/studies/sandbox_speed.py`."""

import sys

from lbt_dspy.benchmarks.studies.sandbox_speed import main

if __name__ == "__main__":
    sys.exit(main())
