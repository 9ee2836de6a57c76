"""The optimisers: ways of using the LbT score."""
