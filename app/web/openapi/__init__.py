"""The OpenAPI document, made from the routes, the request models and the errors.

document.py    puts it together
routes.py      /openapi.json, and /docs for people
reading.py     the document in the order of that page; page/ has its template and style
operations.py  what each route takes and gives, besides what its view and guard say
answers.py     the schemas of answers in one piece; events.py of streams; v1_response.py of OpenAI's Responses API
components.py  those of them that have a name
schema.py      JSON schemas in few words
examples.py    a body for each route that takes one
"""
