"""Which texts are cut out of a JSON body, and that nothing else of it changes."""

from __future__ import annotations

import json

import orjson
import pytest

from app.media.data_urls import cut_data_urls, put_back

_LONG = "data:image/png;base64," + "A" * 70_000


def test_large_data_urls_are_cut_out_and_seen_as_they_stand() -> None:
    body = {"prompt": "What?", "images": [_LONG, _LONG.replace("A/", "/") + "/+", "data:short"]}
    text, urls = cut_data_urls(json.dumps(body).replace("/", "\\/").encode())

    assert len(text) < 300
    first, second, third = orjson.loads(text)["images"]
    assert third == "data:short"
    assert bytes(urls[first].content) == _LONG.replace("/", "\\/").encode()
    assert urls[first].is_escaped
    assert json.loads(b'"%b"' % bytes(urls[second].content)) == body["images"][1]
    assert orjson.loads(put_back(text, urls, urls)) == body


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"prompt": f'say "{_LONG}"'}),
        json.dumps({"prompt": f"say {_LONG}"}),
        json.dumps({"prompt": f'{_LONG}"'}),
        json.dumps({"prompt": f"{_LONG}\\"}),
        json.dumps({"prompt": "DATA:" + _LONG}),
        json.dumps({"prompt": "x"}),
        f'{{"prompt": "{_LONG}',
        '"data:',
        "",
    ],
)
def test_what_is_no_whole_data_url_stays(body: str) -> None:
    assert cut_data_urls(body.encode()) == (body.encode(), {})


def test_no_invalid_json_becomes_valid() -> None:
    for body in (f'{{"a"{_LONG}"}}', f'{{"a":"b"{_LONG}"}}', f'["a""{_LONG}"]', f'"{_LONG}" x'):
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(cut_data_urls(body.encode())[0])


def test_a_name_cannot_be_guessed() -> None:
    body = json.dumps([_LONG]).encode()
    assert cut_data_urls(body)[1].keys().isdisjoint(cut_data_urls(body)[1])
