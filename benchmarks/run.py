"""The command line: `python benchmarks/run.py --task fallacy`, installed as `lbt`; see `benchmarks/cli`."""

import sys

from lbt_dspy.benchmarks.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
