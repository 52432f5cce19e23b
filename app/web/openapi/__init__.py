"""The OpenAPI document, made from the routes, the request models and the errors.

document.py    puts it together
routes.py      /openapi.json, and /docs for people
reading.py     the document in the order of that page; page/ has its template and style
operations.py  what each route takes and gives, besides what its view and guard say
answers.py     the schemas of answers
examples.py    a body for each route that takes one
"""
