"""Create the application for gunicorn and the `flask` command."""

import sys
from pathlib import Path

if __name__ == "__main__":  # before all imports, as who starts it so has no packages either, as a rule
    sys.exit("wsgi.py is started by gunicorn: `make run`, or `.venv/bin/gunicorn wsgi:app` in this directory.")

from dotenv import load_dotenv

from app import create_app
from app.cli import create_app_for_doctor
from app.config import ConfigError, load_config

_ROOT = Path(__file__).parent

if "gunicorn.arbiter" in sys.modules and getattr(sys.modules.get("__config__"), "__file__", None) is None:
    # As with --chdir, where gunicorn looks for the file before it changes the directory.
    sys.stderr.write(
        f"gunicorn has not read its settings: start it in {_ROOT}, or with -c {_ROOT}/gunicorn.conf.py.\n"
    )
    sys.exit(ConfigError.exit_status)

try:
    config = load_config(_ROOT)
    load_dotenv(
        _ROOT / ".env", encoding="utf-8-sig"
    )  # libraries read some variables, those of proxies for instance
    app = create_app(config)
except ConfigError as error:
    # `flask doctor` says what is wrong with the settings, and what else is.
    if Path(sys.argv[0]).name == "flask" and "doctor" in sys.argv[1:]:
        app = create_app_for_doctor(error.problems)
    else:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)
