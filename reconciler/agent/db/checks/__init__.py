"""Checks of a config DB: its permitted content, the rules for its rows, and its expected state after a change."""
