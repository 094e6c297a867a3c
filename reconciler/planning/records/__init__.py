"""Records of applies: those in config DBs, and those that this side keeps."""
