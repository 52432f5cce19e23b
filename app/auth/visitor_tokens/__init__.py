"""Tokens that a site's server requests for the visitors of its pages.

tokens  VisitorTokens: issues, verifies and revokes them
forms   writes and reads the tokens of forms
"""

from app.auth.visitor_tokens.forms import FormPass
from app.auth.visitor_tokens.tokens import JWT_TYPE, Grant, VisitorToken, VisitorTokens

__all__ = ["JWT_TYPE", "FormPass", "Grant", "VisitorToken", "VisitorTokens"]
