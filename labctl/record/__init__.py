"""Bus traffic of a session kept in a file, and served back from it (docs/replay.md)."""
