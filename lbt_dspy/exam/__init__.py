"""Exams: material x problems x exam students x sittings -> reports."""
