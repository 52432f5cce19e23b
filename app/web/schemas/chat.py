"""Define the request and response bodies of POST /api/chat and /api/chat/stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.openai_service import ChatCall, ChatResult, Done, ServerTool, StructuredResult, ToolRun
from app.problems import InvalidRequest
from app.prompts.selection import Conversation, PromptSelection
from app.web.media.intake import MediaIntake
from app.web.schemas.fields import AnswerFields, NonEmptyText, PromptFields, StreamFields
from app.web.schemas.messages import ConversationRequest, Messages, build_turns
from app.web.schemas.tools import OfferedTools, ServerToolNames, ToolChoice, Tools, make_strict_tools


def build_messages(messages: Messages | None, text: str | None) -> list[dict[str, Any]]:
    """Return the messages in OpenAI's form; for a text, one user message.

    Raises InvalidRequest if turns are inconsistent.
    """
    if messages is None:
        return [{"role": "user", "content": text}]
    return build_turns(messages)  # type: ignore[arg-type]


def build_chat_call(
    conversation: Conversation,
    settings: Mapping[str, Any],
    fields: PromptFields,
    prompts: PromptSelection,
    server_tools: OfferedTools | None = None,
) -> ChatCall:
    """Build the call to the service from the client's settings and those of a stored prompt.

    Args:
        conversation: the client's messages.
        settings: the client's settings, by the names of ChatCall's fields.
        fields: the fields that select a stored prompt.
        prompts: the prompts that this user may use.
        server_tools: the tools that a prompt may use; None if server tools are not available.

    Raises:
        InvalidRequest, Forbidden: see PromptSelection.select() and apply().
    """
    prompt = prompts.select(fields)
    messages, values = prompts.apply(prompt, conversation, settings, fields)
    if server_tools and prompt is not None and prompt.tools:
        values["server_tools"] = server_tools.resolve(prompt.tools)
    if values.get("may_be_cached") and (values["temperature"] or 0) > 0:
        raise InvalidRequest("cache: needs temperature 0.")
    return ChatCall(
        conversation.operation,
        messages,
        conversation.request_id,
        adjusted=conversation.adjusted,
        is_one_shot=conversation.is_one_shot,
        **values,
    )


class ChatFields(AnswerFields, PromptFields, StreamFields):
    """The settings of a conversation, in every body that has one; a subclass adds the conversation itself."""

    system_prompt: NonEmptyText | None = None
    tools: Tools | None = None
    server_tools: ServerToolNames | None = None
    tool_choice: ToolChoice | None = None
    cache: bool | None = None

    def to_call(
        self,
        prompts: PromptSelection,
        media: MediaIntake,
        *,
        request_id: str,
        server_tools: OfferedTools | None = None,
    ) -> ChatCall:
        """Build the call to the service.

        Args:
            prompts: the stored prompts that this user may use.
            media: prepares the images.
            request_id: the id of this request.
            server_tools: the server tools that this caller may use; None if the route does not offer any.

        Raises:
            InvalidRequest: the fields contradict each other.
            Forbidden: the token is tied to another prompt, or a tool is not allowed.
            Other errors: see MediaIntake.prepare().
        """
        self._check_tools()
        self._prepare_media(media, prompts)
        conversation = Conversation(
            self._build_messages(),
            request_id,
            client_prompt=self.system_prompt,
            adjusted=media.adjusted,
            is_single=self._is_single(),
        )
        settings = {
            **self.list_values(),
            "tools": self.tools and make_strict_tools(self.tools),
            "tool_choice": self.tool_choice,
            "server_tools": self._select_tools(server_tools),
            "may_be_cached": bool(self.cache),
        }
        return build_chat_call(conversation, settings, self, prompts, server_tools)

    def _select_tools(self, offered: OfferedTools | None) -> Sequence[ServerTool]:
        if self.server_tools is None:
            return ()
        if offered is None:
            raise InvalidRequest("not accepted here.", field="serverTools")
        return offered.select(self.server_tools)

    def _check_tools(self) -> None:
        if self.tools is not None and self.server_tools is not None:
            # OpenAI expects the results of all calls at once. With both kinds of tools, neither side has all
            # results.
            raise InvalidRequest("give either tools or serverTools.", field="serverTools")
        names = [tool["function"]["name"] for tool in self.tools or ()] or self.server_tools
        if self.tool_choice is not None and not names:
            raise InvalidRequest("needs tools.", field="toolChoice")
        if isinstance(self.tool_choice, dict) and self.tool_choice["function"]["name"] not in (names or ()):
            raise InvalidRequest("names a function that is not among the tools.", field="toolChoice")

    def _prepare_media(self, media: MediaIntake, prompts: PromptSelection) -> None:
        """Prepare the images of the conversation. Raises the errors of MediaIntake.prepare()."""

    def _is_single(self) -> bool:
        """Return whether the body is a single text instead of a conversation."""
        return False

    def _build_messages(self) -> list[dict[str, Any]]:
        """Return the conversation in OpenAI's form. Raises InvalidRequest if it is not valid."""
        raise NotImplementedError


class ChatRequest(ChatFields, ConversationRequest):
    """A conversation in `messages`, or a single text in `message` or `userMessage`, which many pages send."""

    message: NonEmptyText | None = None
    user_message: NonEmptyText | None = None

    def _prepare_media(self, media: MediaIntake, prompts: PromptSelection) -> None:
        media.prepare(self, "chat", self.model, prompts)

    def _is_single(self) -> bool:
        return self.messages is None

    def _build_messages(self) -> list[dict[str, Any]]:
        given = [name for name in ("messages", "message", "user_message") if getattr(self, name) is not None]
        if not given:
            raise InvalidRequest("Missing userMessage (or message, or messages).")
        if len(given) > 1:
            raise InvalidRequest("Give only one of messages, message and userMessage.")
        return build_messages(self.messages, self.message or self.user_message)

    def build_response(self, result: ChatResult, reasoning: str | None) -> dict[str, Any]:
        """Return the response body, with the sealed reasoning if there is any.

        The reply is repeated in `text` if the request has `userMessage`, and in `content` if it has `message`.
        """
        body = build_chat_response(result, reasoning)
        if self.user_message is not None:
            body["text"] = body["reply"]
        if self.message is not None:
            body |= {"role": "assistant", "content": body["reply"]}
        return body


def build_chat_response(result: ChatResult, reasoning: str | None = None) -> dict[str, Any]:
    """Return {"reply", "finishReason", "usage", "model", "id"}, and if any "toolCalls", "reasoning" and so on."""
    body: dict[str, Any] = {"reply": result.text or result.refusal or "", **build_end(result)}
    if result.tool_calls:
        body["toolCalls"] = result.tool_calls
    if reasoning:
        body["reasoning"] = reasoning
    if result.tool_runs:
        body["toolRuns"] = [describe_tool_run(run) for run in result.tool_runs]
    if result.trimmed:
        body["trimmed"] = result.trimmed
    if result.is_cached:
        body["cached"] = True
    return body


def build_end(end: ChatResult | StructuredResult | Done) -> dict[str, Any]:
    """Return {"finishReason", "usage", "model", "id"}, with which every answer of a model ends."""
    return {
        "finishReason": end.finish_reason,
        "usage": end.usage and end.usage.raw,
        "model": end.model,
        "id": end.id,
    }


def describe_tool_run(run: ToolRun) -> dict[str, Any]:
    """Return {"id", "name", "status"}, and "ms" if the run has ended. Arguments and results are not sent."""
    body: dict[str, Any] = {"id": run.id, "name": run.name, "status": run.status}
    return body if run.ms is None else body | {"ms": run.ms}
