"""Config DBs of vDVS: read, changed in one transaction, created, moved."""
