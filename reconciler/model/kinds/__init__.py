"""The kinds: what is declared, resolved and observed of each, and the actions on it."""
