"""HTTP messages, where gunicorn's own handling is slow, or not in the form of the application.

http_messages.py   reads and writes the heads of plain HTTP messages faster than gunicorn
continuing.py      sends "100 Continue" once the application reads the body
refusals.py        JSON for what gunicorn refuses, and log lines without a part of the request
refusal_answers.py the answer to a request that no application gets, in the form of its errors
"""
