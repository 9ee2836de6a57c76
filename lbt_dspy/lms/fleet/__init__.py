"""What a LiteLLM YAML says: its variables, numbers, fallbacks, and what it must not say."""
