"""Models behind LiteLLM's Router."""
