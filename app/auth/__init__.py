"""Authentication: who sends a request, and what they may do.

identify         Authenticator: finds the Principal of a request
principal        Principal: the tenant, the user and the scopes of a request
keys             API keys of sites' own servers
visitor_tokens   short-lived tokens that a site's server issues for visitors of its pages
jwt_issuer       verifies JWTs of the site's identity provider
jwks             fetches and caches the provider's public keys
claims           encodes and decodes JWTs, and checks their claims
sessions         signed cookies for this server's own pages
page_sessions    sessions of administrators, and of callers who view their usage
own_hosts        the host names of this server's own pages
audit            the audit trail: a row for each change by an administrator
address          the client's address, for anonymous use while AUTH_REQUIRED=false
failed_attempts  a limit on wrong credentials for each address
store, tables    keys, sessions and revocations in the database
errors           the problems of authentication
"""

from app.auth.identify import Authenticator
from app.auth.principal import Principal

__all__ = ["Authenticator", "Principal"]
