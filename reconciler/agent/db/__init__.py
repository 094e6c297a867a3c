"""Config DBs of vDVS: observed, changed in one transaction, created, moved."""
