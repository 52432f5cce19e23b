"""The upstream's batches: files of requests answered within a day."""
