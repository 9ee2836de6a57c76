"""Our searches against DSPy's own optimisers, at equal numbers of model calls."""
