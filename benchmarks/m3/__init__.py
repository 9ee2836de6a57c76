"""The benchmark of M3: exemplars."""
