"""What is told on standard error while a command is under way: its progress, and the log of -v."""
