"""Create the application for gunicorn and the `flask` command."""

import sys
from dataclasses import fields
from pathlib import Path

if __name__ == "__main__":  # before all imports: `python wsgi.py` usually runs outside of the virtual environment
    sys.exit("Start wsgi.py with gunicorn: `make run`, or `.venv/bin/gunicorn wsgi:app` in this directory.")

from app import create_app
from app.cli import create_app_for_doctor
from app.config import Config, ConfigError, load_config, read_env_file
from server.arbiter import boot_failures, loaded_settings

_ROOT = Path(__file__).parent

if "gunicorn.arbiter" in sys.modules and getattr(sys.modules.get("__config__"), "__file__", None) is None:
    # It happens with --chdir: gunicorn looks for gunicorn.conf.py before it changes the directory.
    sys.stderr.write(
        f"gunicorn has not read its settings: start it in {_ROOT}, or with -c {_ROOT}/gunicorn.conf.py.\n"
    )
    sys.exit(ConfigError.exit_status)


def _load_settings() -> Config:
    """Return the settings, and put the other variables of .env into the environment, such as those of proxies."""
    loaded = loaded_settings.find()
    if loaded is None:  # without gunicorn
        in_file = read_env_file(_ROOT)
        loaded = loaded_settings.store(load_config(_ROOT, in_file), in_file)
    loaded.fill_environment()
    known = {declared.name for declared in fields(Config)}  # this code may be newer than the arbiter's
    return Config(**{name: value for name, value in loaded.values.items() if name in known})


try:
    config = _load_settings()
    app = create_app(config)
except ConfigError as error:
    # `flask doctor` must run even then, to report these and other problems.
    if Path(sys.argv[0]).name == "flask" and "doctor" in sys.argv[1:]:
        app = create_app_for_doctor(error.problems)
    else:
        boot_failures.report(str(error))
        sys.exit(error.exit_status)
