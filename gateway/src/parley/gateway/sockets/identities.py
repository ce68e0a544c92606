"""Identities: the latest token of each session."""

from parley.gateway.auth import Identity
from parley.gateway.live.sessions import Session
from parley.gateway.services.profiles import Profiles
from parley.shared.model import Person


class Identities:
    """The identity of each session; commands are done in its person's name."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._identities: dict[Session, Identity] = {}

    def add(self, session: Session, identity: Identity) -> None:
        """Note the identity of a session that has connected."""
        self._identities[session] = identity

    def renew(self, session: Session, identity: Identity) -> None:
        """Replace the identity of a session, unless it has gone meanwhile."""
        if session in self._identities:
            self._identities[session] = identity

    def remove(self, session: Session) -> None:
        """Forget a session that has gone."""
        self._identities.pop(session, None)

    def get(self, session: Session) -> Identity | None:
        """Return the identity of a session; None while it connects, and when it has gone."""
        return self._identities.get(session)

    def person(self, session: Session) -> Person:
        """Return the user of a session, with their newest name. Raises `KeyError` when it has gone."""
        return self._profiles.current(self._identities[session].person)
