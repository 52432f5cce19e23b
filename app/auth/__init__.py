"""Who may do what: principals, the ways to show that one is one, and the guards of the routes.

Authenticator          identify.py: from a request to a Principal
  ApiKeys              keys.py: a site's own servers
  VisitorTokens        visitor_tokens.py: the visitors of its pages, by a token that its server gets for them
  JwtIssuer, Jwks      jwt_issuer.py, jwks.py: the same, by a token of the site's identity provider
  Sessions             sessions.py: pages served here
  address_of           address.py: everybody else, while AUTH_REQUIRED=false
  FailureLimit         failures.py: no end of guessing
  LazyStore            store.py: where keys and revocations are kept
init_guards            guards.py: what each route needs, and that it is seen to
"""

from app.auth.identify import Authenticator
from app.auth.principal import Principal
from app.web.guards import init_guards, needs, needs_key, public

__all__ = ["Authenticator", "Principal", "init_guards", "needs", "needs_key", "public"]
