"""Bodies as frameworks for pages send them, one file per route.

- `ui_messages`: the AI SDK's `useChat`.
- `completion`: its `useCompletion`.
- `agui`: AG-UI's `RunAgentInput`.
- `media`: the files of their messages.
"""
