"""Installed as `lbt_dspy.benchmarks`: the command line, one file per data set, and the comparison of methods."""
