"""The OpenAPI document, made from the routes, the request models and the errors.

document.py    puts it together
operations.py  what each route takes and gives, besides what its view and guard say
answers.py     the schemas of answers
examples.py    a body for each route that takes one
"""
