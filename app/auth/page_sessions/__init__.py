"""The sessions of the pages in production: an administrator's, and that of a caller who looks at their usage.

links.py    the links of administrators: signed, for minutes, made by a command on the server
admin.py    AdminSessions: opens, finds and ends sessions; the tokens of their forms
callers.py  CallerSessions: who has signed in with a key or a token, to see their usage
cookies.py  the cookies of these and all other sessions
"""
