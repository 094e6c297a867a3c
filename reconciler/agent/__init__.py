"""The program that runs on the ESXi host: standard library only, Python 2.7 and 3.5 or later, imports nothing of ours.

Whoever ships it to a host calls `main.main(root, stdin, stdout)` there.
"""
