"""The lean client of servers that speak OpenAI's chat API."""
