"""What is particular to each kind of upstream."""

from __future__ import annotations

import pytest

from app.config import Config
from app.openai_service import Upstream

AZURE = {"azure_openai_endpoint": "https://acme.openai.azure.com", "openai_api_key": "k"}
COMPATIBLE = {"openai_base_url": "http://localhost:8000/v1"}


@pytest.mark.parametrize(
    ("settings", "kind", "has_openai_models", "offers_batches", "path"),
    [
        ({"openai_api_key": "k"}, "openai", True, True, "/embeddings"),
        ({}, "offline", False, True, "/embeddings"),
        (COMPATIBLE, "compatible", True, True, "/embeddings"),
        (COMPATIBLE | {"openai_api_key": "k"}, "compatible", True, True, "/embeddings"),
        (AZURE, "azure", False, False, "/deployments/my%2Fmodel/embeddings"),
    ],
)
def test_the_settings_say_which_it_is(settings, kind, has_openai_models, offers_batches, path):
    upstream = Upstream.from_settings(Config(**settings).upstream)

    assert upstream.kind == kind
    assert (upstream.has_openai_models, upstream.offers_batches) == (has_openai_models, offers_batches)
    assert upstream.path("/embeddings", "my/model") == path


def test_each_has_answers_of_its_own():
    keys = [
        Upstream.from_settings(Config(**some).upstream).cache_key
        for some in ({}, {"openai_api_key": "k"}, AZURE, COMPATIBLE)
    ]

    assert all(keys.count(key) == 1 for key in keys)
