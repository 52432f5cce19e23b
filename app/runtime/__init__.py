"""What every part that runs stands on: the clocks, stores that are away, files of SQLite."""
