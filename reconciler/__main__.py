"""`python -m reconciler` is `vdvs`."""

from reconciler.cli.main import main

main()
