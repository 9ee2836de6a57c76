"""For tests of programs with language models: an LM that answers as it is told, and the contract of optimisers."""

from lbt_dspy.testing.contract import CHECKS, Case, ContractError, check_teleprompter
from lbt_dspy.testing.doubles import Asked, ScriptedEngine, UnscriptedPromptError, scripted_lm

__all__ = [
    "CHECKS",
    "Asked",
    "Case",
    "ContractError",
    "ScriptedEngine",
    "UnscriptedPromptError",
    "check_teleprompter",
    "scripted_lm",
]
