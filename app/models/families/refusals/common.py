"""Find errors that do not depend on the endpoint: unknown parameters, too long values, shut-down models."""

from __future__ import annotations

from collections.abc import Iterator

from app.models.families.catalog import read_table
from app.models.families.family import Family
from app.models.families.refusals.refusal import Refusal, refuse_invalid, refuse_parameter, refuse_unknown
from app.models.families.refusals.request import Request

_MAX_CHARS = {"prompt_cache_key": 64, "safety_identifier": 128}
_MIN_TOKENS = {"max_tokens": 1, "max_completion_tokens": 1, "max_output_tokens": 16}
_DETAILS = ("low", "high", "auto")
_CACHE_MODES = ("implicit", "explicit")
_CACHE_TTLS = {"chat": ("30m",), "responses": ("30m", "12h")}


def find_wrong_detail(detail: object, place: str, family: Family | None) -> Iterator[Refusal]:
    """Yield a refusal if an image's detail does not exist, or not for this model."""
    takes_original = family is None or family.takes_original_detail
    known = (*_DETAILS, "original") if takes_original else _DETAILS
    if detail is not None and detail not in known:
        yield refuse_invalid(place, detail, known)


def find_unknown_parameters(request: Request) -> Iterator[Refusal]:
    """Yield a refusal for each parameter that the endpoint does not have."""
    table = read_table()
    known = table["parameters"][request.endpoint]
    for name in request.body:
        if name in known:
            continue
        moved = table["moved"].get(name) if request.endpoint == "responses" else None
        if moved is None:
            yield refuse_unknown(name)
        else:
            yield Refusal(
                f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{moved}'. "
                "Try again with the new parameter. See the API documentation for more information: "
                "https://platform.openai.com/docs/api-reference/responses/create.",
                name,
                "unsupported_parameter",
            )


def find_values_out_of_bounds(request: Request) -> Iterator[Refusal]:
    """Yield a refusal for each text that is too long and each number that is too small."""
    for name, max_chars in _MAX_CHARS.items():
        value = request.get(name)
        if isinstance(value, str) and len(value) > max_chars:
            yield Refusal(
                f"Invalid '{name}': string too long. Expected a string with maximum length {max_chars}, "
                f"but got a string with length {len(value)} instead.",
                name,
                "string_above_max_length",
            )
    for name, minimum in _MIN_TOKENS.items():
        value = request.get(name)
        if isinstance(value, int) and value < minimum:
            yield Refusal(
                f"Invalid '{name}': integer below minimum value. Expected a value >= {minimum}, but got {value} instead.",
                name,
                "integer_below_min_value",
            )


def find_wrong_tier(request: Request) -> Iterator[Refusal]:
    """Yield a refusal if the service tier does not exist, or not on this endpoint or for this model."""
    table = read_table()["service_tiers"]
    tier = request.get("service_tier")
    if tier is None:
        return
    models = table["only_for"].get(tier) if isinstance(tier, str) else None
    is_for_others = models is not None and request.family is not None and request.family.name not in models
    if tier not in table[request.endpoint] or is_for_others:
        yield Refusal("Invalid service_tier argument", "service_tier", None)


def find_wrong_stream_options(request: Request) -> Iterator[Refusal]:
    """Yield a refusal for stream options without a stream, and for each option that the endpoint does not have."""
    options = request.get("stream_options")
    if options is None:
        return
    if request.get("stream") is not True:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        yield Refusal(message, "stream_options", None)
    known = (
        {"include_obfuscation"} if request.endpoint == "responses" else {"include_obfuscation", "include_usage"}
    )
    if isinstance(options, dict):
        yield from (refuse_unknown(f"stream_options.{name}") for name in options if name not in known)


def find_gone_model(request: Request) -> Iterator[Refusal]:
    """Yield a refusal if the model has been shut down."""
    family = request.family
    if family is None or family.shutdown is None or request.today < family.shutdown:
        return
    message = f"The model `{request.model}` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations"
    if request.endpoint == "responses":
        yield Refusal(message, "model", "model_not_found")
    else:
        yield Refusal(message, None, "model_not_found", status=404)


def find_wrong_cache_options(request: Request) -> Iterator[Refusal]:
    """Yield a refusal for each prompt-cache option that does not exist, or not for this model."""
    for name, values in (("mode", _CACHE_MODES), ("ttl", _CACHE_TTLS.get(request.endpoint, ()))):
        value = request.get("prompt_cache_options", name)
        if value is not None and value not in values:
            yield refuse_invalid(f"prompt_cache_options.{name}", value, values)
    if request.family is None:
        return
    if request.family.has_cache_breakpoints:
        if request.get("prompt_cache_retention") is not None:
            yield refuse_parameter("prompt_cache_retention")
        return
    if request.get("prompt_cache_options") is not None:
        yield refuse_parameter("prompt_cache_options")
    if any("prompt_cache_breakpoint" in part for part in request.iter_parts()):
        yield Refusal("prompt_cache_breakpoint is not supported on this model", None, None)
