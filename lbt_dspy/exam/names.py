"""The names of policies of an exam; imports nothing."""

from __future__ import annotations

from typing import Literal

ScheduleName = Literal["full", "lossless", "confident"]
SelectionName = Literal["sum", "max", "avg", "maj"]
MarkName = Literal["grade", "evidence"]
