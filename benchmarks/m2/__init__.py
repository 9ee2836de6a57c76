"""The benchmark of M2: the tuned teacher."""
