"""What gunicorn loads before the application. It must import nothing of `app`: gevent has to come first."""
