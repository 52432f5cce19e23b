"""How one request reaches the upstream, and how its errors come back."""
