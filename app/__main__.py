"""Print how to start the server, for users who run `python -m app`."""

import sys

if __name__ == "__main__":
    sys.exit(
        "Start Gatehouse with gunicorn: `make run`, or `.venv/bin/gunicorn wsgi:app` in the directory above app/."
    )
