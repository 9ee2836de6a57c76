"""LiteLLM, imported so that it does not ask the network for prices first."""

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm

litellm.suppress_debug_info = True  # else it prints lists of providers beside its errors

__all__ = ["litellm"]
