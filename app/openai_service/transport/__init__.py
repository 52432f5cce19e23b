"""One attempt: from a request to the upstream's response.

- `upstream.py`: `Upstream`, the API that is called: OpenAI, Azure, a compatible server or the offline model
- `request_bodies.py`: bodies in OpenAI's format, for single requests and batches
- `request.py`: `UpstreamRequest`, a body with its JSON and token bounds; `PendingRequest`, one that is part of a call
- `sender.py`: `Sender`, which sends requests under the retry policy
- `parameter_support.py`: `ParameterSupport`, which adapts bodies to the parameters that a model accepts; `family_rules.py`: what the
  table of families says of them; `parameter_names.py`: their names here and there
- `sdk_client.py`: the SDK's client, built once for each process and key
- `sdk_errors.py`: from the SDK's errors to those of `app/openai_service/errors.py`
- `sdk.py`: the import of the SDK, with its types loaded on demand
- `refusals.py`: what a refusal says, in the words of many servers
- `attribution.py`: whose a conversation is, and who may keep it, as the upstream is told
- `prompt_caching.py`: what the upstream shall write to its prompt cache
- `model_notices.py`: a warning at start about models that will be shut down
"""
