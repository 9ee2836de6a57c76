"""Names to language models: engines, what faults mean, servers. Nothing here knows of money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbt_dspy.lazy import face

if TYPE_CHECKING:
    from lbt_dspy.lms.abilities import Abilities
    from lbt_dspy.lms.engine import Answer, ModelEngine, Request, lm_of
    from lbt_dspy.lms.faults import Fault, NoReply
    from lbt_dspy.lms.roles import LMRoles

_HOMES = {
    "Abilities": "lbt_dspy.lms.abilities",
    "Answer": "lbt_dspy.lms.engine",
    "Fault": "lbt_dspy.lms.faults",
    "LMRoles": "lbt_dspy.lms.roles",
    "ModelEngine": "lbt_dspy.lms.engine",
    "NoReply": "lbt_dspy.lms.faults",
    "Request": "lbt_dspy.lms.engine",
    "lm_of": "lbt_dspy.lms.engine",
}
__all__ = ["Abilities", "Answer", "Fault", "LMRoles", "ModelEngine", "NoReply", "Request", "lm_of"]
__getattr__, __dir__ = face(__name__, _HOMES)
