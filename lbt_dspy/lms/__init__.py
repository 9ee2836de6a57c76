"""Names to language models, and the one door through which every call of a run goes."""
