"""BatchResults that match a JSON schema, in one piece or as they grow."""
