"""Inventories: the sources of names and ids."""
