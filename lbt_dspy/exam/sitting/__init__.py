"""The ways to sit an exam: a program as it is, or by evidence."""
