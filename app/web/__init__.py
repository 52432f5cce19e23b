"""All that knows Flask."""
