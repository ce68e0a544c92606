"""Profiles: the name of a user is that of the newest token, in everything that any gateway sends."""

from typing import NamedTuple

from msgspec.structs import replace

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import EventPublisher, People, SavedProfile
from parley.gateway.state.bounded_dict import BoundedDict
from parley.gateway.state.rates import Buckets, Rate
from parley.shared import rooms
from parley.shared.events import ProfileChanged
from parley.shared.model import Person

REMEMBERED_PEOPLE = 20_000
ANNOUNCEMENTS = Rate(0.1, 5)
"""New names of one user that are published: two tokens without `iat` could take turns at each request."""


class Profile(NamedTuple):
    """A user as a token describes them, and when that was issued (Unix time; 0 if it does not say)."""

    person: Person
    issued_at: float


class Profiles:
    """Stores what tokens say of their users, and knows the newest names of the users of this node.

    Roles and permissions are those of each token: only what others see of a user is taken from a newer one.
    """

    def __init__(self, people: People, event_publisher: EventPublisher) -> None:
        self._people = people
        self._event_publisher = event_publisher
        self._announcements = Buckets(ANNOUNCEMENTS)
        self._known: BoundedDict[str, Profile] = BoundedDict(REMEMBERED_PEOPLE)
        self._later_tokens: dict[str, float] = {}

    async def present(self, person: Person, issued_at: float | None, *, is_new: bool = False) -> Person:
        """Take a token's description of its user; return it with the user's newest name.

        A description is written only if it is another one than before.

        Args:
            person: The description.
            issued_at: When the token was issued.
            is_new: Whether no description of the user was stored a moment ago.

        Raises:
            Unavailable: It could not be stored.
        """
        at = issued_at or 0.0
        known = self._known.get(person.id)
        if known is None and is_new and await self._people.add(person, at):
            self._note(Profile(person, at))
        elif known is None or (at >= known.issued_at and person != known.person):
            await self._save(person, at)
        elif at > known.issued_at:
            # Until it is stored, a token issued between the two would be taken for the newest elsewhere.
            self._known.put(person.id, Profile(person, at))
            self._later_tokens[person.id] = at
        return self.current(person)

    def is_known(self, user_id: str) -> bool:
        """Whether the newest description of a user is known here."""
        return self._known.get(user_id) is not None

    def take(self, stored: SavedProfile) -> None:
        """Take a stored description that was read with something else."""
        self._note(Profile(stored.person, stored.issued_at))

    async def store_later_tokens(self) -> None:
        """Store when the later tokens with known descriptions were issued, of all users in one call.

        Raises:
            Unavailable: MongoDB is away; they are stored by a later call.
        """
        later, self._later_tokens = self._later_tokens, {}
        try:
            if later:
                await self._people.note_tokens(later)
        except Unavailable:
            self._later_tokens = {**later, **self._later_tokens}
            raise

    async def _save(self, person: Person, at: float) -> None:
        saved = await self._people.save(person, at)
        self._note(Profile(saved.person, saved.issued_at))
        if saved.is_renamed and self._announcements.try_take(person.id):
            event = ProfileChanged(person=with_name_of(Person(id=person.id), saved.person), issued_at=at)
            await self._event_publisher.publish_events({rooms.everyone(): [event]})

    def _note(self, profile: Profile) -> None:
        known = self._known.get(profile.person.id)
        if known is None or profile.issued_at >= known.issued_at:
            self._known.put(profile.person.id, profile)

    def apply(self, event: ProfileChanged) -> None:
        """Take the name that a gateway has published."""
        known = self._known.get(event.person.id)
        person = known.person if known is not None else event.person
        self._note(Profile(with_name_of(person, event.person), event.issued_at))

    def current(self, person: Person) -> Person:
        """Return a user as a token describes them, with their newest name."""
        known = self._known.get(person.id)
        return with_name_of(person, known.person) if known is not None else person


def with_name_of(person: Person, newer: Person) -> Person:
    """Return a person with what others see of a newer description."""
    if shown_of(person) == shown_of(newer):
        return person
    return replace(
        person,
        name=newer.name,
        username=newer.username,
        first_name=newer.first_name,
        last_name=newer.last_name,
        avatar=newer.avatar,
    )


def shown_of(person: Person) -> tuple[str | None, ...]:
    """Return what others see of a user."""
    return person.name, person.username, person.first_name, person.last_name, person.avatar
