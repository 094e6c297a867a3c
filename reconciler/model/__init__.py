"""The vocabulary: frozen dataclasses and enums, standard library only; no I/O, no clock, no randomness."""
