"""HTTP messages, where gunicorn is slow, or its answers do not have the application's form.

http_messages.py   reads and writes the heads of plain HTTP messages faster than gunicorn
continuing.py      sends "100 Continue" when the application reads the body
refusals.py        answers requests that gunicorn refuses with JSON, and logs them without their content
refusal_answers.py writes the answer to a request that does not reach the application, in the form of its errors
"""
