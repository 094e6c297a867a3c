"""The command line: click commands, exit codes. No logic of its own."""
