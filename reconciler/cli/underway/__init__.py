"""Output on standard error while a command runs: its progress, and the log of -v."""
