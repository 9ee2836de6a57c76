"""Exams against a server that fails as real ones do."""
