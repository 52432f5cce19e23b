"""What servers write in an answer, read alike whether it came in one piece or as a stream."""
