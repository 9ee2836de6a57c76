"""Programs in Python: their data sets, and the task of M1."""
