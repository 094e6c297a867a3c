"""The program that runs on the ESXi host: standard library of Python 2.7 and 3.5+ only; imports nothing else of vdvs.

`reconciler.hosts.bundle` sends it to a host and calls `main.main(root, stdin, stdout)` there.
"""
