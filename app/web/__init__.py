"""All that knows Flask: routes, request models, encoders, and the hooks around every request."""
