# Read by every `flask` command: where the application is.
FLASK_APP=wsgi:app
