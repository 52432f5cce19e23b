"""All code that knows Flask, besides the factory and the commands.

flask_app.py           WebApp: Flask without what a JSON API does not use
forwarded.py           TrustedProxies: the visitor's address and scheme, as proxies state them
request_id.py          the id of a request, and the state that hooks and views share
origins.py             CORS, and the refusal of other origins
draining.py            refuses requests while the server stops
guards.py              which credential and scope each route needs
rate_limiting.py       counts requests, and adds the RateLimit headers
errors.py              turns exceptions into responses
error_table.py         writes the table of errors in docs/errors.md
request_body.py        reads and validates bodies
call_context.py        BilledContext: bills the calls of a request
client_connection.py   ClientConnection: notices that the client has disconnected
responses.py           JSON responses of calls, and the headers about a call
streaming.py           streamed responses
routes/                the views, one blueprint a file
pages/                 what stands behind the pages that people open
forms/                 forms that browsers send
media/                 the images and files in a request
hints/                 hints for whoever sent a body that is refused
replays/               answers that are given again
observation/           what is told of a request once it has ended
openapi/               the OpenAPI document
schemas/               the request models, one file for each route
encoders/              the wire formats, one a file
"""
