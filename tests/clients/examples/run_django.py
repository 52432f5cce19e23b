"""A Django site that has nothing but the example's view."""

from __future__ import annotations

import sys
from wsgiref.simple_server import make_server

from django import setup
from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(
    SECRET_KEY="s" * 50,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="urls",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
setup()
make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application()).serve_forever()
