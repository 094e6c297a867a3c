"""Config DBs: whether they are there, upgrades, moves, repairs, rollback."""
