"""The race of our searches with DSPy's own optimisers; see `benchmarks/studies/race`."""

import sys

from lbt_dspy.benchmarks.studies.race.command import main

if __name__ == "__main__":
    sys.exit(main())
