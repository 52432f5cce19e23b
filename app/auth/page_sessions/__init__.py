"""The sessions of the pages in production: of administrators, and of callers who view their usage.

links.py    the signed sign-in links of administrators, which a command on the server prints; valid for minutes
admin.py    AdminSessions: opens, finds and ends sessions, and signs their forms
callers.py  CallerSessions: callers who signed in with a key or a token to view their usage
cookies.py  the cookies of these and all other sessions
"""
