"""The request bodies of front-end frameworks, one file per route.

- `ui_messages`: the AI SDK's `useChat`.
- `completion`: the AI SDK's `useCompletion`.
- `agui`: AG-UI's `RunAgentInput`.
- `media`: the images and files of their messages.
"""
