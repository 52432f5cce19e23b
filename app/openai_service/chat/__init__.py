"""One conversation: its input window, moderation, cached answers, and its completion."""
