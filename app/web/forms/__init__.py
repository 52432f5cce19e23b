"""Forms that browsers send: from their fields, which are all texts, to the bodies of the API.

bodies.py     reads the body of a form
fields.py     converts the fields of any form
ask_form.py   the form of a page without scripts, and whose it is
"""
