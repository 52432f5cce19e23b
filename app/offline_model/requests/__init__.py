"""Parse and check requests as OpenAI does, with its names for what is wrong."""
