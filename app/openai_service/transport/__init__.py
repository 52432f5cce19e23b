"""From a request to the upstream's response: what is sent, and where to."""
