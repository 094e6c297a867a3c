"""A very small sh, for a local.sh: confined to the folder of one simulated host, and never starting a program.

`scanner` finds words and operators, `parser` makes commands (`syntax`) of them, `expansion` turns words into
arguments, `interpreter` carries commands out with `programs` and `conditions`. What it does not know (redirection,
most substitution of output, loops, functions, any other program) it parses, reports, and passes over with status 127.
"""
