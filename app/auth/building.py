"""build_authenticator: every way to show who one is, as the settings have it."""

from __future__ import annotations

from app.auth.failures import FailureLimit
from app.auth.identify import Authenticator
from app.auth.jwt_settings import jwt_faults
from app.auth.keys import ApiKeys
from app.auth.sessions import Sessions
from app.auth.store import LazyStore
from app.auth.visitor_tokens import VisitorTokens
from app.config import Config, ConfigError
from app.ledger.database import Database
from app.shared_state import SharedState


def build_authenticator(config: Config, database: Database, state: SharedState) -> Authenticator:
    """Nothing of the database is opened before somebody shows a credential that is kept there.

    Raises:
        ConfigError: the settings of the identity provider do not go together.
    """
    if faults := jwt_faults(config):
        raise ConfigError(faults)
    jwt_issuer = None
    if config.jwt_issuer:
        from app.auth.jwt_issuer import JwtIssuer  # which loads PyJWT, and most sites have no such provider

        jwt_issuer = JwtIssuer(config)
    store = LazyStore(database)
    return Authenticator(
        keys=ApiKeys(store),
        tokens=VisitorTokens(config.secret_key, store, max_ttl_s=config.token_max_ttl_s),
        jwt_issuer=jwt_issuer,
        sessions=Sessions(config.secret_key, ttl_s=config.session_ttl_s),
        failures=FailureLimit(state),
        auth_required=config.auth_required,
    )
