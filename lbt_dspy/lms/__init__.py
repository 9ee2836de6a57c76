"""Names to language models: engines, what faults mean, servers. Nothing here knows of money."""
