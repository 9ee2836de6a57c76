"""What the schedules of an exam save, on simulated mark tables; see `benchmarks/studies/schedules`."""

import sys

from lbt_dspy.benchmarks.studies.schedules.command import main

if __name__ == "__main__":
    sys.exit(main())
