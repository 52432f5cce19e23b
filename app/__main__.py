"""Say how the server is started to whoever tries `python -m app`."""

import sys

if __name__ == "__main__":
    sys.exit(
        "Gatehouse is started by gunicorn: `make run`, or `.venv/bin/gunicorn wsgi:app` in the directory above app/."
    )
