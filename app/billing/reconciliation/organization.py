"""Fetch an organization's usage and costs from OpenAI, by day and model.

Source: https://platform.openai.com/docs/api-reference/usage
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import backoff
import httpx2

from app.models.pricing.money import to_micro_usd
from app.runtime.periods import DAY_MS, get_day, get_start_ms

API = "https://api.openai.com/v1"
_TIMEOUT_S = 30.0
_TRIES = 4
_BUCKETS = 31
_MAX_PAGES = 100
_USAGE = ("completions", "embeddings")
_SNAPSHOT = re.compile(r"-(\d{4}-\d\d-\d\d|\d{4})$")


class UsageUnavailable(Exception):
    """OpenAI did not return the usage. The message is a sentence for the operator, without the key."""


@dataclass(slots=True)
class ReportedUsage:
    """What OpenAI reports for a day and model. Costs are by line item, and some line items are not models."""

    requests: int = 0
    tokens: int = 0
    micro_usd: int = 0


def strip_snapshot(model: str) -> str:
    """Return a model's name without the date of its snapshot: requests may have the one, reports the other."""
    return _SNAPSHOT.sub("", model)


def fetch_reported(
    admin_key: str, first_day: str, last_day: str, *, api: str = API
) -> dict[tuple[str, str], ReportedUsage]:
    """Return what OpenAI reports, by day and model. Raises UsageUnavailable."""
    reported: defaultdict[tuple[str, str], ReportedUsage] = defaultdict(ReportedUsage)
    usd: defaultdict[tuple[str, str], float] = defaultdict(float)
    span = {"start_time": get_start_ms(first_day) // 1000, "end_time": (get_start_ms(last_day) + DAY_MS) // 1000}
    headers = {"Authorization": f"Bearer {admin_key}"}
    with httpx2.Client(timeout=_TIMEOUT_S, headers=headers, follow_redirects=False) as client:
        for kind in _USAGE:
            for day, result in _fetch_all(client, f"{api}/organization/usage/{kind}", span, "model"):
                row = reported[day, strip_snapshot(result.get("model") or "unknown")]
                row.requests += result.get("num_model_requests") or 0
                row.tokens += (result.get("input_tokens") or 0) + (result.get("output_tokens") or 0)
        for day, result in _fetch_all(client, f"{api}/organization/costs", span, "line_item"):
            item = (result.get("line_item") or "unknown").partition(",")[0]
            usd[day, strip_snapshot(item)] += float(result["amount"]["value"])
    for key, value in usd.items():
        reported[key].micro_usd = to_micro_usd(value)
    return dict(reported)


def _fetch_all(
    client: httpx2.Client, url: str, span: dict[str, int], group: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each result with its day, over all buckets and pages."""
    params: dict[str, Any] = {**span, "bucket_width": "1d", "limit": _BUCKETS, "group_by[]": group}
    for _ in range(_MAX_PAGES):
        try:
            page = _fetch(client, url, params)
            for bucket in page["data"]:
                day = get_day(bucket["start_time"] * 1000)
                for result in bucket["results"]:
                    yield day, result
            if not page.get("has_more"):
                return
            params["page"] = page["next_page"]
        except httpx2.HTTPStatusError as error:
            raise UsageUnavailable(_explain(error.response.status_code)) from None
        except httpx2.HTTPError as error:
            raise UsageUnavailable(f"OpenAI did not respond ({type(error).__name__}).") from None
        except (ValueError, KeyError, TypeError):
            raise UsageUnavailable(
                f"The response of {url} does not have the form that OpenAI documents."
            ) from None
    raise UsageUnavailable(f"{url} returned {_MAX_PAGES} pages and says that there are more.")


def _is_final(error: Exception) -> bool:
    return isinstance(error, httpx2.HTTPStatusError) and error.response.status_code not in (
        429,
        500,
        502,
        503,
        504,
    )


@backoff.on_exception(backoff.expo, httpx2.HTTPError, max_tries=_TRIES, giveup=_is_final, logger=None)
def _fetch(client: httpx2.Client, url: str, params: dict[str, Any]) -> Any:
    response = client.get(url, params=params)
    response.raise_for_status()
    return response.json()


def _explain(status: int) -> str:
    if status in (401, 403):
        return f"OpenAI refused OPENAI_ADMIN_KEY (status {status}): it must be an admin key that may read usage."
    return f"OpenAI did not return the usage (status {status})."
