"""Where names and ids come from."""
