"""LiteLLM, imported so that it neither asks the network for prices first nor prints what is no affair of ours."""

import os
import warnings

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# Pydantic's, by the dozen, of LiteLLM's own types, whenever a part of it is first used.
warnings.filterwarnings("ignore", r"Items? '.*' on TypedDict class", UserWarning)
# And of OpenAI's replies, whose types servers do not all keep to.
warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)

import litellm  # noqa: E402

litellm.suppress_debug_info = True  # else it prints lists of providers beside its errors

__all__ = ["litellm"]
