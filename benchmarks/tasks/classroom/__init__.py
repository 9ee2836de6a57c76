"""The classroom: a synthetic world in which tiny language models teach and learn (see WORLD.md)."""
