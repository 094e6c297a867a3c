"""The composition root: the only place that knows every adapter (import-linter holds that)."""
