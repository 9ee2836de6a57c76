"""What the benchmarks of all methods share."""
