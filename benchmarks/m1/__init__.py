"""The benchmark of M1: the better answer."""
