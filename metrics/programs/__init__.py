"""Programs in Python: read out of texts, and graded by tests."""
