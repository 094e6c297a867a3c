"""What watches saw and did, kept in a local SQLite file of bounded size."""
