"""The audit log: everything that was applied, in lines of JSON that each hold the hash of the one before."""
