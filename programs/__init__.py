"""Installed as `lbt_dspy.programs`: the DSPy programs, and how tasks are wired to them."""
