"""The upstream of the measurements: a server that answers at once, and what it answers."""
