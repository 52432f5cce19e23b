"""The tools that come with Gatehouse."""
