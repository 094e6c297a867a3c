"""The pure core: resolve, normalise, compare, judge, plan. May import the model only; no I/O, no clock, no randomness."""
