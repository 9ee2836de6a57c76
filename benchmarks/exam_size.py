"""An exam of the paper's size on one machine; see `benchmarks/studies/exam_size`."""

import sys

from lbt_dspy.benchmarks.studies.exam_size.command import main

if __name__ == "__main__":
    sys.exit(main())
