"""Generate the OpenAPI document from the routes, the request models and the errors.

document.py    builds the document
routes.py      serves /openapi.json, and /docs for people
reading.py     reads the document for the page at /docs; page/ has its templates and style
operations.py  what each route accepts and returns, besides what its view and guard declare
answers.py     the schemas of complete answers
events.py      the schemas of the events of streams
v1_response.py the schemas of OpenAI's Responses API
components.py  the schemas that have a name in the document
schema.py      functions that build JSON schemas
examples.py    an example body for each route that accepts one
"""
