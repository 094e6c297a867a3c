"""The passes of the differ, and the context that they read."""
