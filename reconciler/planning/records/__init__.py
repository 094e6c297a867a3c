"""Who applied what, and what was applied last: records in config DBs, and what this side keeps."""
