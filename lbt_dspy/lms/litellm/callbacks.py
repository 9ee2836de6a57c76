"""Callbacks of a YAML: each is set up before any call, for LiteLLM would do so in the middle of the first one."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any

from lbt_dspy.errors import UserError, nearest_hint
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.lms.fleet.environment import SECRET_NAME
from lbt_dspy.lms.litellm.private import callback_names, set_up_callback
from lbt_dspy.lms.redaction import scrub

INSTALLED_BY_LITELLM = {"slack": "slack_bolt", "sentry": "sentry_sdk", "supabase": "supabase"}
"""Packages that LiteLLM would install by itself, in the middle of a call."""
LONGEST = 120
COLOUR = re.compile(r"\x1b\[\d*m")


def with_callbacks(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `litellm_settings` whose callbacks are lists, each known and ready.

    Raises:
        UserError: LiteLLM does not know one, or it cannot be used here.
    """
    found = dict(settings)
    for name, value in settings.items():
        if name.endswith(("callback", "callbacks")) and not SECRET_NAME.search(name):
            found[name] = [_ready(callback, name) for callback in (value if isinstance(value, list) else [value])]
    return found


def _ready(callback: Any, setting: str) -> str:
    known = callback_names()
    if not isinstance(callback, str) or callback not in known:
        raise UserError(
            f"litellm_settings: {setting} names {callback!r}, which LiteLLM does not know; leave it out"
            f"{nearest_hint(callback, sorted(known))}"
        )
    package = INSTALLED_BY_LITELLM.get(callback)
    if package is not None and importlib.util.find_spec(package) is None:
        raise UserError(
            f"litellm_settings: {setting} {callback} needs the package {package}; install it, or leave it out"
        )
    try:
        EventLoop.run(_set_up(callback))
    except Exception as error:  # whatever a third package, or LiteLLM on its behalf, raises
        why = scrub(COLOUR.sub("", str(error)) or type(error).__name__)[:LONGEST]
        raise UserError(
            f"litellm_settings: {setting} {callback} cannot be used here ({why}); mend that, or leave it out"
        ) from None
    return callback


async def _set_up(callback: str) -> None:
    """On the event loop: some begin a task of their own."""
    set_up_callback(callback)
