"""Answers of mathematical problems: read out of texts, and compared."""
