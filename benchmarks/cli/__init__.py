"""The command line: its parser, run folders, and the commands `predict` and `compare`."""
