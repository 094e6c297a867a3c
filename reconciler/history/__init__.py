"""Records of what watches saw and did, in a local SQLite file of bounded size."""
