"""Parses the error messages of many servers: the unknown parameter, the size of the context, and other faults.

OpenAI sends a code and a parameter. Others name the parameter only in a message, or in a list like FastAPI and vLLM.
Parameters are read only at the beginning of a message: the rest may quote the caller.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from pydantic.alias_generators import to_snake

_SENTENCE_FIELDS = ("message", "detail", "error", "errors", "msg", "error_message", "title")
_parse_json = json.JSONDecoder().raw_decode
_PARAM = r"[`'\"\[]*(?:body\.|#/)?(?P<param>[a-z][a-z_]+(?:\.[a-z_]+)*)\b[`'\"\]]*"
_UNKNOWN = [
    re.compile(pattern.replace("PARAM", _PARAM), re.IGNORECASE)
    for pattern in (
        r"(?:invalid json payload received\. )?(?:unrecognized|unknown|unsupported|unexpected)"
        r" (?:request )?(?:argument|parameter|param|field|property|key|value|name|input)s?(?: supplied)?:? PARAM",
        r"(?:argument|parameter|field)s? not supported on this model: PARAM",
        r"extraneous key PARAM is not permitted",
        r"additional properties are not allowed \(PARAM (?:was|were) unexpected",
        r"(?:setting )?(?:the )?(?:property |parameter |field |setting )?PARAM(?: parameter| field| property)?:? (?:is |are )?"
        r"(?:not (?:supported|permitted|allowed|recognized|available|accepted)|isn't supported|unsupported|(?<=is )unknown"
        r"|(?:not a (?:valid|known|supported)|an? (?:unknown|unsupported|unrecognized)) (?:parameter|field|argument|property)"
        r"|extra inputs are not permitted|no longer (?:supported|accepted)|deprecated)",
        r"extra inputs are not permitted, field: PARAM",
        r"validation error at #/PARAM: extra inputs are not permitted",
        r"json: unknown field PARAM",
        r"[\w.]+\(\) got an unexpected keyword argument PARAM",
        r"(?:litellm\.\w+: )*(?:this model|the model|[\w./-]+) does(?: not|n't) support (?:the )?"
        r"(?:parameters?:? |fields?:? )?PARAM",
    )
]
_ONE, _OTHER = _PARAM.replace("param", "one"), _PARAM.replace("param", "other")
# Two parameters of which a request may have only one.
_NOT = r"(?:can(?:not|'t| not)|(?:may|must|should)(?:n't| not))"
_EXCLUSIVE = [
    re.compile(pattern.replace("NOT", _NOT).replace("ONE", _ONE).replace("OTHER", _OTHER), re.IGNORECASE)
    for pattern in (
        r"(?:the )?(?:parameters |fields )?ONE (?:and|or) OTHER (?:NOT [^.\n]{0,40}\b"
        r"(?:both|together|simultaneously|same time)|are mutually exclusive|are (?:incompatible|exclusive))",
        r"(?:you )?(?:NOT|do not) (?:specify|set|use|provide|pass|send|combine)"
        r"(?: both)?(?: of)?(?: the)?(?: parameters)?:? ONE (?:and|with|together with) OTHER",
        r"(?:please )?(?:you )?(?:may |can |must |should )?(?:only )?(?:specify |set |use |provide |pass |send )?(?:only |exactly )?"
        r"(?:one of|either)(?: the)?(?: parameters)?:? ONE(?: and| or|,) OTHER",
        r"(?:the )?(?:parameter )?ONE NOT be (?:used|set|specified|combined|provided|passed)"
        r" (?:together |in combination )?(?:with|when|if) OTHER",
        r"(?:the )?(?:parameter )?ONE is (?:mutually exclusive with|incompatible with|not (?:compatible with|allowed with"
        r"|(?:supported|allowed) (?:when|if|together with))) OTHER",
    )
]
_SUPPORTED = re.compile(r"supported values are:((?: ?,? (?:and )?['\"`]\w+['\"`])+)", re.IGNORECASE)
_LARGER_THAN_RATE = re.compile(r"request too large for .{1,200}?\bon (?:input |output )?tokens per", re.IGNORECASE)
_QUOTA = re.compile(r"you exceeded your current quota|your credit balance is too low", re.IGNORECASE)
# Messages of Google, with status 400, and of xAI.
_KEY = re.compile(
    r"api key (?:not valid|not found|expired)|incorrect api key|missing or invalid authorization", re.IGNORECASE
)
# A reasoning model needs more than one token for its answer. Its message does not name the parameter.
_LIMIT_TOO_SMALL = re.compile(r"could not finish the message because max_tokens", re.IGNORECASE)
_SCHEMA_PLACE = re.compile(
    r"invalid schema for (?:response_format|function) '[\w-]{1,64}': in context=\(([^()]{0,500})\)", re.IGNORECASE
)
_STEP = re.compile(r"'([\w$-]{1,64})'|(\d{1,4})")
# One entry of pydantic's list, as JSON or as Python's repr.
_DETAIL = re.compile(
    r"[\[{(\s]*(?:[\"']type[\"']:\s*[\"'](?P<type>[\w.]+)[\"'],\s*)?"
    r"[\"']loc[\"']:\s*[\[(]\s*[\"']body[\"'],\s*[\"'](?P<param>\w+)[\"']"
)
_CONTEXT = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum (?:model|prompt|input|sequence) length|prompt is too long"
    r"|input token count|max_new_tokens.? must be <=|request exceeded model token limit|too many tokens"
    r"|exceeds? (?:the )?(?:context limit|max_model_len)|input is too long for (?:the )?requested model"
    r"|range of input length should be|too many input tokens|maximum context|must have less than \d+ tokens"
    r"|(?:prompt|input) length \d+ exceeds|(?:prompt|input) (?:length )?exceeds (?:the )?max(?:imum)?\b"
    r"|reduce the length of the (?:messages|prompt|input|conversation)",
    re.IGNORECASE,
)
# What proxies write before the upstream's message, or before the JSON that contains it.
_PROXY_PREFIX = re.compile(
    r"(?:(?:litellm\.)?\w*(?:exception|error)(?: - |: )|error code: \d{3} - |provider returned error:? ?"
    r"|the model returned the following errors: |malformed input request: (?:#: )?|\d{3}:? )+",
    re.IGNORECASE,
)
_MAX_WRAPPERS = 4
_MAX_REPR_CHARS = 10_000
# Only at the beginning of a message, or after a proxy's name, is it OpenAI's own text: the rest may quote the caller.
_BY_PROXY = r"(?:litellm\.\w+: )*(?:(?:OpenAI|Azure)Exception - )?"
_NO_REASONING = re.compile(
    _BY_PROXY + r"function tools with reasoning[_. ]effort are not supported", re.IGNORECASE
)
_REQUIRES_RESPONSES = re.compile(
    _BY_PROXY + r"(?:(?:this|the) model|this is not a chat model)[^\n]{0,200}v1/responses", re.IGNORECASE
)
_MODEL = re.compile(r"\b(?:model|deployment)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.-])\d{2,9}(?![\w.]\d)\b")
_EXCESS = re.compile(r"\bby \d{1,9}\b")  # Cohere: the number of tokens over the limit, which is neither size
_ONLY_LIMIT = re.compile(r"<=|range of input length", re.IGNORECASE)
_SUM = re.compile(r"(\d{1,9}) \+ (\d{1,9}) > (\d{1,9})")  # Anthropic: input + answer > limit
# vLLM: the input and the maximum answer together exceed the context.
_ANSWER_TOO_LARGE = re.compile(
    r"too large: (\d{1,9})\..{0,40}maximum context length is (\d{1,9}) tokens and your request has (\d{1,9}) input",
    re.IGNORECASE,
)

_BLOCKED_CODE = re.compile(r"identifier\w*blocked|blocked\w*identifier")
_BLOCKED = re.compile(
    r"\W*(?:(?:this|the|your) )?identifier\b[^.\n]{0,60}\bblocked\b"
    r"|.{0,200}\bsafety[_ -]identifier\b[^.\n]{0,60}\bblocked\b|.{0,200}\bblocked\b[^.\n]{0,60}\bsafety[_ -]identifier\b",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r".{0,200}\bsafety[_ -]identifier\b", re.IGNORECASE)
# The field is unknown, or its value has the wrong format.
_ABOUT_FIELD = re.compile(
    r"\W*(?:un(?:supported|known|recognized|expected)|invalid|missing|string|integer|array|object|empty)(?:_|\b)"
    r"|.{0,80}\b(?:too (?:long|short|large)|at most|maximum|must be|required|not (?:supported|recognized|permitted))\b",
    re.IGNORECASE,
)
_MAY_BLOCK = {400, 403, None}  # an error inside a stream has no status


class Fault(NamedTuple):
    """The parsed content of an error message.

    Attributes:
        param: the upstream's name of the parameter at fault.
        is_unknown_param: whether the upstream does not know the parameter at all.
        exclusive: two parameters of which a request may have only one.
        supported_values: the accepted values of the parameter, if the upstream lists any.
        needs_no_reasoning: whether tools are accepted only with the effort "none".
        is_key: whether the site's key is refused.
        is_quota: whether the account has no quota or credit left.
        is_larger_than_rate: whether the request needs more tokens than the account's limit per minute.
        place: the path of the fault in a JSON schema.
        is_context: whether the conversation is too long.
        limit, size: the context window and the size of the request in tokens, if it is too long.
        requires_responses: whether the upstream serves such a request only on /responses.
        names_model: whether the message is about a model or deployment.
    """

    param: str | None = None
    is_unknown_param: bool = False
    exclusive: tuple[str, ...] = ()
    supported_values: tuple[str, ...] = ()
    needs_no_reasoning: bool = False
    is_key: bool = False
    is_quota: bool = False
    is_larger_than_rate: bool = False
    place: tuple[str, ...] = ()
    is_context: bool = False
    limit: int | None = None
    size: int | None = None
    requires_responses: bool = False
    names_model: bool = False


_FAULTS_BY_PATTERN = (
    (_QUOTA, Fault(is_quota=True)),
    (_KEY, Fault(is_key=True)),
    (_LIMIT_TOO_SMALL, Fault("max_tokens")),
)


def read_fault(error: Mapping[str, Any]) -> Fault:
    """Parse an error object of any server."""
    sentence = _find_sentence(error)
    if _LARGER_THAN_RATE.match(sentence):
        limit, size = _read_sizes(error, sentence.partition(" on ")[2])
        return Fault(is_larger_than_rate=True, limit=limit, size=size)
    for pattern, fault in _FAULTS_BY_PATTERN:
        if pattern.match(sentence):
            return fault
    if found := _SCHEMA_PLACE.match(sentence):
        return Fault(place=tuple(name or number for name, number in _STEP.findall(found[1])))
    if error.get("type") == "exceed_context_size_error" or _CONTEXT.search(sentence):
        limit, size = _read_sizes(error, sentence)
        return Fault(is_context=True, limit=limit, size=size)
    if _REQUIRES_RESPONSES.match(sentence):
        return Fault(requires_responses=True, names_model=True)
    if detail := _DETAIL.match(sentence):
        return Fault(detail["param"], detail["type"] in ("extra_forbidden", "value_error.extra"))
    if _NO_REASONING.match(sentence):
        # For models that always reason, the message names only /responses.
        return Fault("reasoning_effort", needs_no_reasoning=True, requires_responses="none" not in sentence)
    return _read_params(sentence)


def _read_params(sentence: str) -> Fault:
    """Return the parameters that a message is about."""
    for pattern in _EXCLUSIVE:
        if found := pattern.match(sentence):
            pair = _to_snake(found["one"]), _to_snake(found["other"])
            return Fault(pair[1], exclusive=pair)
    listed = _SUPPORTED.search(sentence)
    supported = tuple(re.findall(r"\w+", listed[1].replace(" and ", " "))) if listed else ()
    for pattern in _UNKNOWN:
        if found := pattern.match(sentence):
            return Fault(_to_snake(found["param"]), is_unknown_param=True, supported_values=supported)
    return Fault(supported_values=supported, names_model=bool(_MODEL.search(sentence)))


def blocks_user(error: Mapping[str, Any], status: int | None) -> bool:
    """Return whether an error object says that the upstream no longer serves the user of `safety_identifier`.

    An error about an unknown field or an invalid value does not count.
    """
    if status not in _MAY_BLOCK:
        return False
    code, sentence = str(error.get("code") or "").lower(), _find_sentence(error)
    if _BLOCKED_CODE.search(code):
        return True
    param = error.get("param")
    if param == "safety_identifier" and "block" in f"{code} {sentence.lower()}":
        return True
    if _BLOCKED.match(sentence):
        return True
    # OpenAI documents only the words "identifier blocked", so any other refusal that names the identifier counts.
    names_identifier = param == "safety_identifier" or "safety_identifier" in code or _IDENTIFIER.match(sentence)
    if status is None or not names_identifier or param not in (None, "safety_identifier"):
        return False
    return not (_ABOUT_FIELD.match(code) or _ABOUT_FIELD.match(sentence) or read_fault(error).is_unknown_param)


def _find_sentence(error: Mapping[str, Any]) -> str:
    """Return the message of an error object. For a list of details, return the JSON of the first one."""
    found: Any = error
    for _ in range(_MAX_WRAPPERS):
        if isinstance(found, list):
            found = found[0] if found else ""
        if isinstance(found, dict):
            if "loc" in found:
                parts = {name: found[name] for name in ("type", "loc", "msg") if name in found}
                return _write_json(parts)
            found = _find_raw(found) or next((found[name] for name in _SENTENCE_FIELDS if found.get(name)), "")
        if isinstance(found, str):
            sentence = found[prefix.end() :] if (prefix := _PROXY_PREFIX.match(found)) else found
            if sentence[:1] not in ("{", "["):
                return sentence
            found = _parse_quoted(sentence)
    return found if isinstance(found, str) else ""


def _find_raw(error: Mapping[str, Any]) -> Any:
    """Return the error of the provider behind OpenRouter, if OpenRouter itself gives no details."""
    metadata, message = error.get("metadata"), error.get("message")
    if not isinstance(metadata, dict) or not isinstance(message, str):
        return None
    return metadata.get("raw") if message.startswith("Provider returned error") else None


def _parse_quoted(text: str) -> Any:
    """Parse the JSON or the Python repr at the start of a message. If it is a list of another format, return the text."""
    with suppress(ValueError, RecursionError):
        return _parse_json(text)[0]
    try:
        return ast.literal_eval(text[:_MAX_REPR_CHARS])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return "" if text.startswith("{") else text


def _write_json(parts: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(parts).decode()
    except orjson.JSONEncodeError:  # nested too deeply, or a Python value that JSON does not have
        return ""


def _to_snake(name: str) -> str:
    return name.lower() if "_" in name or name.isupper() else to_snake(name)


def _read_sizes(error: Mapping[str, Any], sentence: str) -> tuple[int | None, int | None]:
    limit, size = error.get("n_ctx"), error.get("n_prompt_tokens")
    if type(limit) is int and type(size) is int:
        return limit, size
    if found := _SUM.search(sentence):
        return int(found[3]), int(found[1]) + int(found[2])
    if found := _ANSWER_TOO_LARGE.search(sentence):
        return int(found[2]), int(found[1]) + int(found[3])
    numbers = [int(number) for number in _NUMBER.findall(_EXCESS.sub("", sentence.replace(",", "")))][:2]
    if _ONLY_LIMIT.search(sentence) or not numbers:
        return (numbers[0] if numbers else None), None
    return min(numbers), max(numbers) if len(numbers) == 2 else None
