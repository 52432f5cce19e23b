"""Take leases of one name, as most tests do."""

from __future__ import annotations

from app.storage.shared_state import Lease, LeaseRefused, SharedState


def take_lease(state: SharedState, name: str, limit: int) -> Lease | None:
    """A lease of a name, or None if all are taken."""
    try:
        return state.take_lease({name: limit})
    except LeaseRefused as refusal:
        assert refusal.name == name
        return None
