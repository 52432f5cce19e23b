"""All code that uses Flask, except the application factory and the commands.

flask_app.py           WebApp: Flask without the work that a JSON API does not need
forwarded.py           TrustedProxies: the visitor's address and scheme, from the headers of proxies
request_id.py          the request id, and the request state that hooks and views share
origins.py             answers CORS requests, and refuses origins that are not allowed
draining.py            refuses new requests while the server shuts down
guards.py              which credential and scope each route needs
rate_limiting.py       counts requests, and adds the RateLimit headers
errors.py              turns exceptions into responses
error_table.py         writes the table of errors in docs/errors.md
request_body.py        reads and validates bodies
call_context.py        BilledContext: bills the calls of a request
client_connection.py   ClientConnection: detects that the client has disconnected
responses.py           complete JSON responses, and the headers that describe a call
streaming.py           streamed responses
routes/                the views, one blueprint per file
pages/                 data and responses of the HTML pages
forms/                 HTML forms that browsers send
media/                 images and files in a request
hints/                 hints for callers whose request body is refused
replays/               idempotent requests and resumable streams: answers that are sent again
observation/           the log line and the trace spans of each request
openapi/               the OpenAPI document
schemas/               the request models, one file per route
encoders/              the wire formats, one per file
"""
