"""Server tools: what a model may have run, and the loop that runs it."""
