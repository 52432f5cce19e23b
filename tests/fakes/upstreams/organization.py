"""OpenAI's usage and costs of an organization, as its API tells them: in pages of buckets of a day."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import httpx2

DAY_S = 86_400


class FakeOrganization:
    """`use()` says what was used; a page has one bucket, so that each report has several."""

    def __init__(self, admin_key: str) -> None:
        self._key = admin_key
        self._used: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        self.failures: list[int] = []
        self.asked: list[httpx2.URL] = []

    def use(
        self, day: str, model: str, *, input_tokens: int, output_tokens: int, usd: float, requests: int = 1
    ) -> None:
        start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
        usage = {"input_tokens": input_tokens, "output_tokens": output_tokens, "num_model_requests": requests}
        self._used["usage/completions", start].append(
            {"object": "organization.usage.completions.result", "model": model, **usage}
        )
        for part in ("input", "output"):
            amount = {"value": usd / 2, "currency": "usd"}
            self._used["costs", start].append(
                {"object": "organization.costs.result", "amount": amount, "line_item": f"{model}, {part}"}
            )

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url)
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return httpx2.Response(401, json={"error": {"message": "no"}})
        if self.failures:
            return httpx2.Response(self.failures.pop(0), json={})
        query = request.url.params
        assert query["bucket_width"] == "1d"
        kind = request.url.path.partition("/organization/")[2]
        assert query["group_by[]"] == ("line_item" if kind == "costs" else "model")
        start, end = int(query.get("page", query["start_time"])), int(query["end_time"])
        bucket = {
            "object": "bucket",
            "start_time": start,
            "end_time": start + DAY_S,
            "results": self._used[kind, start],
        }
        more = start + DAY_S < end
        page = {"object": "page", "data": [bucket], "has_more": more}
        return httpx2.Response(200, json=page | {"next_page": str(start + DAY_S) if more else None})
