"""Inventories: where names and ids come from."""
