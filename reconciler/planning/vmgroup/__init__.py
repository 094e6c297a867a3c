"""VMGroups: pairing with rows, comparing, members, name links, quotas."""
