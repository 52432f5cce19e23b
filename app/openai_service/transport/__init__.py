"""How requests reach the upstream, by the SDK's client.

sdk: the `openai` package itself, loaded without the types that nothing here uses.
"""
