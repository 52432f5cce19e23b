"""Read the HTML forms that browsers send, whose fields are all texts, and convert them to the bodies of the API.

bodies.py     reads the body of a form
fields.py     converts the fields of any form
ask_form.py   reads the form of a page without JavaScript, and identifies its sender
"""
