"""The tasks: one folder per data set, and how files are read."""
