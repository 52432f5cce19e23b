"""A site made with Flask: one tag shows the chat, one route gives each visitor a token."""

import os
from uuid import uuid4

import requests
from flask import Flask, render_template, session

GATEHOUSE_URL = os.environ.get("GATEHOUSE_URL", "http://127.0.0.1:8000")
GATEHOUSE_KEY = os.environ["GATEHOUSE_KEY"]  # stays on this server

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY") or os.urandom(32)


@app.get("/")
def index():
    return render_template("index.html", gatehouse=GATEHOUSE_URL)


@app.get("/gatehouse-token")
def gatehouse_token():
    visitor = session.setdefault("visitor", uuid4().hex)  # or your own id of who is logged in
    fields = {"userId": visitor, "ttlS": 900, "scopes": ["chat", "vision", "usage"]}
    headers = {"Authorization": f"Bearer {GATEHOUSE_KEY}"}
    answer = requests.post(f"{GATEHOUSE_URL}/api/tokens", json=fields, headers=headers, timeout=10)
    return answer.json(), answer.status_code, {"Cache-Control": "no-store"}
