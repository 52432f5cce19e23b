"""Modes that answer 200 with another content than requested, or with an HTML page."""

from chaos.call import Call
from chaos.modes.mode import ANY, BROKEN_OFF, EMBEDDINGS, FAILED, STREAM, STRUCTURED, TEXT, Mode, codes
from chaos.settings import API_KEY

_PAGE = f"<html><body><h1>Bad gateway</h1>{API_KEY}</body></html>".encode()


async def _page_200(call: Call) -> None:
    await call.answer(200, _PAGE, "text/html")


async def _page_502(call: Call) -> None:
    await call.answer(502, _PAGE, "text/html")


async def _empty(call: Call) -> None:
    await call.answer(200, b"", "application/json")


async def _error_object(call: Call) -> None:
    await call.error(200, {"message": "The server had an error", "type": "server_error", "code": None})


async def _stream_for_vectors(call: Call) -> None:
    """The event stream of a chat where vectors were requested."""
    await call.open_stream()
    for token in call.tokens:
        await call.event(call.chunk({"content": token}))
    await call.event(b"[DONE]")
    await call.end_body()


async def _no_choices(call: Call) -> None:
    await call.answer_json(call.completion("", choices=[]))


async def _prose(call: Call) -> None:
    """A text instead of JSON by the schema. The application repeats the request once, with the fault."""
    await call.answer_json(call.completion("Sure! Here you go."))


async def _cut(call: Call) -> None:
    await call.answer_json(call.completion('{"answer": "it was a', reason="length"))


async def _refusal(call: Call) -> None:
    await call.answer_json(call.completion("", refusal="I will not."))


async def _missing(call: Call) -> None:
    await call.answer_json(call.embeddings(call.vectors()[1:]))


async def _too_many(call: Call) -> None:
    await call.answer_json(call.embeddings([*call.vectors(), [0.0, 0.0, 0.0, 0.0]]))


async def _twice(call: Call) -> None:
    body = call.embeddings([*call.vectors(), [9.0, 9.0, 9.0, 9.0]])
    for item in body["data"]:
        item["index"] = 0
    await call.answer_json(body)


async def _not_a_number(call: Call) -> None:
    vectors = call.vectors()
    vectors[-1] = [float("nan"), *vectors[-1][1:]]
    await call.answer_json(call.embeddings(vectors))


MODES = [
    Mode("HTML with 200", _page_200, ANY, BROKEN_OFF),
    Mode("HTML with 502", _page_502, ANY, FAILED),
    Mode("an empty 200", _empty, ANY, BROKEN_OFF),
    Mode("an error in a 200", _error_object, ANY, BROKEN_OFF),
    Mode("events for vectors", _stream_for_vectors, EMBEDDINGS, FAILED),
    Mode("JSON, choices: []", _no_choices, TEXT - STREAM, FAILED, weight=0.5),
    Mode("prose for a schema", _prose, STRUCTURED, codes("refused"), weight=3),
    Mode("cut off in a schema", _cut, STRUCTURED, codes("truncated")),
    Mode("a refusal", _refusal, STRUCTURED, codes("refused")),
    Mode("a vector missing", _missing, EMBEDDINGS, FAILED, weight=2),
    Mode("a vector too many", _too_many, EMBEDDINGS, FAILED),
    Mode("one index for all vectors", _twice, EMBEDDINGS, FAILED),
    Mode("NaN in a vector", _not_a_number, EMBEDDINGS, FAILED, weight=2),
]
