"""Make the folder of mathematical problems that `--data` names; see `benchmarks/tasks/math`."""

import sys

from lbt_dspy.benchmarks.cli.math_task import main

if __name__ == "__main__":
    sys.exit(main())
