"""The offline model as a site reaches it: through the official client, in this process, without waiting."""

import base64
import io
from collections.abc import Callable, Iterator

import httpx2
import openai
import pytest
from PIL import Image

from app.offline_model import create_offline_model

DataUrl = Callable[..., str]


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    transport = httpx2.WSGITransport(app=create_offline_model(token_delay_s=0))
    with httpx2.Client(transport=transport, base_url="http://offline") as client:
        yield client


@pytest.fixture
def offline(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="offline", base_url="http://offline/v1", http_client=http, max_retries=0)


@pytest.fixture
def ask(offline: openai.OpenAI) -> Callable[..., openai.types.chat.ChatCompletion]:
    def ask(text, **settings):
        return offline.chat.completions.create(
            model="gpt-test", messages=[{"role": "user", "content": text}], **settings
        )

    return ask


@pytest.fixture
def data_url() -> DataUrl:
    def data_url(image: Image.Image, image_format: str = "PNG", **settings) -> str:
        buffer = io.BytesIO()
        image.save(buffer, image_format, **settings)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        return f"data:image/{image_format.lower()};base64,{encoded}"

    return data_url
