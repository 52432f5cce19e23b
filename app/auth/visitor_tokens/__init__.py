"""Tokens that a site's server gets for the visitors of its pages.

tokens  VisitorTokens: issues, verifies and revokes them
forms   how the token of a form is written and read
"""

from app.auth.visitor_tokens.forms import FormPass
from app.auth.visitor_tokens.tokens import JWT_TYPE, Grant, VisitorToken, VisitorTokens

__all__ = ["JWT_TYPE", "FormPass", "Grant", "VisitorToken", "VisitorTokens"]
