"""The vocabulary: immutable values (msgspec Structs) and enums. No I/O, no clock, no randomness."""
