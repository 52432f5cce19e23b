"""The HTTP client below the SDK: it knows sockets, deadlines and HTTP/1.1, and nothing of OpenAI."""
