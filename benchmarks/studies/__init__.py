"""Measurements of single questions, one folder each."""
