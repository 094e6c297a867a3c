"""The program that runs on the ESXi host: standard library only, Python 2.7 and 3.5 or later, imports nothing of ours.

`MODULES` lists its modules so that each comes after those that it imports: who ships the agent to a host executes them
in this order, then calls `main.main(root, stdin, stdout)`.
"""

MODULES = (
    "clock",
    "text",
    "wire",
    "paths",
    "files",
    "programs",
    "children",
    "sqlite",
    "schema",
    "rows",
    "rules",
    "objects",
    "dead_rows",
    "journal",
    "database",
    "backup",
    "db_actions",
    "transaction",
    "creation",
    "relocation",
    "own_db",
    "sh_words",
    "sh_effects",
    "sh_tokens",
    "sh_reach",
    "own_lines",
    "local_sh",
    "section",
    "volumes",
    "dockvols",
    "policies",
    "host_facts",
    "log_level",
    "host_actions",
    "verbs",
    "main",
)
