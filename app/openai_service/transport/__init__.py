"""One attempt: from a request to the upstream's response.

- `upstream.py`: `Upstream`, the API that is called: OpenAI, Azure, a compatible server or the offline model
- `request_bodies.py`: builds bodies in OpenAI's format, for single requests and batches
- `request.py`: `UpstreamRequest`, a body with its JSON and token bounds; `PendingRequest`, one that is part of a call
- `sender.py`: `Sender`, which sends requests under the retry policy
- `parameter_support.py`: `ParameterSupport`, which adapts bodies to the parameters that a model accepts
- `family_rules.py`: the parameters that a model does not accept, from the table of model families
- `parameter_names.py`: translates the names of parameters between the APIs
- `sdk_client.py`: the SDK's client, built once for each process and key
- `sdk_errors.py`: translates the SDK's errors to those of `app/openai_service/errors.py`
- `sdk.py`: imports the SDK, with its types loaded on demand
- `refusals.py`: parses the error messages of many servers
- `attribution.py`: the fields that identify a user to the upstream, and `store`
- `prompt_caching.py`: sets what the upstream writes to its prompt cache
- `model_notices.py`: warns at start about models that will be shut down
"""
