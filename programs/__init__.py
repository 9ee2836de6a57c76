"""Installed as `lbt_dspy.programs`: DSPy programs to compose, compile and teach with."""

from lbt_dspy.programs.code import SelfDebug, code_program
from lbt_dspy.programs.math import math_program
from lbt_dspy.signatures import classification

__all__ = ["SelfDebug", "classification", "code_program", "math_program"]
