"""Whether a model answers at all: a run against a wrong key or an absent server should end soon."""

from __future__ import annotations

import threading
from collections import Counter

from lbt_dspy.errors import ModelRejectedError, ModelUnreachableError
from lbt_dspy.lms.faults import Fault

REJECTIONS_TO_STOP, FAILURES_TO_STOP = 3, 10


class Health:
    """Counts of answered, refused and failed calls by model; thread-safe."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    def answered(self, name: str) -> None:
        """Note an answer."""
        with self._lock:
            self._counts.setdefault(name, Counter())["answered"] += 1

    def failed(self, name: str, fault: Fault) -> None:
        """Note a call that failed for good.

        Raises:
            ModelRejectedError: The model has refused three calls and answered none.
            ModelUnreachableError: It has failed ten calls and answered none.
        """
        with self._lock:
            counts = self._counts.setdefault(name, Counter())
            counts["rejected" if fault.rejected else "failed"] += 1
        if counts["answered"]:
            return
        if counts["rejected"] >= REJECTIONS_TO_STOP:
            raise ModelRejectedError(
                f"{name} refuses every call ({fault.reason}); check its name, its address (most end in /v1), key and "
                "parameters"
            )
        if counts["failed"] >= FAILURES_TO_STOP:
            raise ModelUnreachableError(
                f"{name} has answered none of {counts['failed']} calls (the last one: {fault.reason}); check that its "
                "server is up and its address right, then go on"
            )
