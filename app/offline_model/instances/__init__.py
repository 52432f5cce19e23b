"""Make values that match a JSON schema, with words of the user's text."""
