"""Mathematical problems: their data sets, and the task of M1."""
