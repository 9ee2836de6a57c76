"""`os.environ/NAME` anywhere in a YAML: from the YAML's own `environment_variables`, else from the process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from lbt_dspy.errors import UserError

SECRET_NAME = re.compile(r"(?i)key|token|secret|password|credential|authorization|headers")
REFERENCE = "os.environ/"
SHORTEST_SECRET = 4


class Environment:
    """Variables, and the secrets among what was read of them.

    Args:
        own: The YAML's `environment_variables`; they stand before those of the process, as LiteLLM's proxy has it,
            but the process's own are not changed.
        lenient: A variable that is not set stays a reference: for a dry run, which sends nothing.
    """

    def __init__(self, own: Mapping[str, Any] | None = None, *, lenient: bool = False) -> None:
        self._own: dict[str, str] = {}
        self._lenient = lenient
        self.secrets: set[str] = set()
        self.used: set[str] = set()
        """Names of `environment_variables` that something referred to."""
        for name, value in (own or {}).items():
            self._add(str(name), "" if value is None else str(value))

    def given(self, name: str) -> str | None:
        """Return a variable that the YAML itself sets; `None`: it does not."""
        if name not in self._own:
            return None
        self.used.add(name)
        return self._own[name] or None

    def get(self, name: str) -> str | None:
        """Return a variable; `None`: neither the YAML nor the process sets it."""
        return self.given(name) or os.environ.get(name) or None

    def resolved(self, value: Any, where: str, *, secret: bool = False) -> Any:
        """Return a value with its references replaced; what a telling name holds is noted as a secret.

        Raises:
            UserError: A variable is not set.
        """
        if isinstance(value, dict):
            return {
                k: self.resolved(v, where, secret=secret or bool(SECRET_NAME.search(str(k)))) for k, v in value.items()
            }
        if isinstance(value, list):
            return [self.resolved(item, where, secret=secret) for item in value]
        if isinstance(value, str) and value.startswith(REFERENCE):
            name = value.removeprefix(REFERENCE)
            found = self.get(name)
            if found is None and self._lenient:
                return value
            if found is None:
                raise UserError(f"{where} needs the environment variable {name}, which is not set; export {name}=...")
            value, secret = found, secret or bool(SECRET_NAME.search(name))
        self._note(value, secret=secret)
        return value

    def _add(self, name: str, value: str) -> None:
        """Take in a variable, which may refer to those before it and to those of the process."""
        if value.startswith(REFERENCE):
            value = self.get(value.removeprefix(REFERENCE)) or ""
        self._own[name] = value
        self._note(value, secret=bool(SECRET_NAME.search(name)))

    def unused(self) -> list[str]:
        """Return the names of `environment_variables` that nothing has asked for."""
        return sorted(set(self._own) - self.used)

    def _note(self, value: Any, *, secret: bool) -> None:
        if secret and isinstance(value, str) and len(value) >= SHORTEST_SECRET and not is_number(value):
            self.secrets.add(value)


def is_number(text: str) -> bool:
    """Return whether a text is a number, which no secret is: prices and limits stand under names such as tokens."""
    try:
        float(text)
    except ValueError:
        return False
    return True
