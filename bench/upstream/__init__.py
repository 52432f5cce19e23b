"""The upstream of the measures: a server that answers at once, and its answers."""
