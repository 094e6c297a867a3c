"""The pure core: resolve, normalise, compare, judge, plan. Imports the model only; no I/O, no clock, no chance."""
