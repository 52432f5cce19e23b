"""The plain tutorial design, for comparison: the SDK's typed calls, jsonify, and json.dumps for each token.

It does nothing that Gatehouse does besides: no identity, limits, ledger, retries of its own, or logs.
"""

import json
from collections.abc import Iterator

from flask import Flask, Response, jsonify, request
from flask_cors import CORS
from openai import OpenAI

app = Flask(__name__)
CORS(app, origins=["http://localhost:3000"])
client = OpenAI()


@app.post("/api/chat")
def chat() -> Response:
    """Answer a conversation in one piece."""
    body = request.get_json()
    completion = client.chat.completions.create(model=body["model"], messages=body["messages"])
    return jsonify(reply=completion.choices[0].message.content, usage=completion.usage.model_dump())


@app.post("/api/chat/stream")
def stream_chat() -> Response:
    """Stream the answer to a conversation."""
    body = request.get_json()
    stream = client.chat.completions.create(model=body["model"], messages=body["messages"], stream=True)

    def events() -> Iterator[str]:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield f"data: {json.dumps({'token': chunk.choices[0].delta.content})}\n\n"
        yield f"data: {json.dumps({'done': True})}\n\n"

    return Response(events(), mimetype="text/event-stream")


@app.post("/api/embeddings")
def embeddings() -> Response:
    """Turn texts into vectors."""
    body = request.get_json()
    answer = client.embeddings.create(model=body["model"], input=body["input"])
    return jsonify(embeddings=[item.embedding for item in answer.data], usage=answer.usage.model_dump())
