"""How many calls a second clients make; see `benchmarks/studies/throughput`."""

import sys

from lbt_dspy.benchmarks.studies.throughput.command import main

if __name__ == "__main__":
    sys.exit(main())
