"""Names are those of the newest tokens; rights are those of each token."""

from msgspec.structs import replace

from fakes.memory_archive import MemoryPeople
from fakes.memory_revocations import RecordingEventPublisher
from fakes.memory_store import Tables
from parley.gateway.services.profiles import Profiles
from parley.shared import rooms
from parley.shared.events import ProfileChanged
from parley.shared.model import Person

OLD = Person(id="ann", name="Old", role="member")
NEW = Person(id="ann", name="New", role="admin", avatar="a.png")


class CountedPeople(MemoryPeople):
    """Counts what is written."""

    saved = 0

    async def save(self, person: Person, issued_at: float = 0.0):  # type: ignore[no-untyped-def]
        self.saved += 1
        return await super().save(person, issued_at)


def gateways(count: int = 1) -> tuple[list[Profiles], CountedPeople, RecordingEventPublisher]:
    people, publisher = CountedPeople(Tables()), RecordingEventPublisher()
    return [Profiles(people, publisher) for _ in range(count)], people, publisher


async def test_a_description_that_is_known_is_not_written_again() -> None:
    (profiles,), people, publisher = gateways()
    for at in (10.0, 10.0, 20.0, None):
        assert await profiles.present(OLD, at) == OLD
    assert (people.saved, publisher.events) == (1, [])


async def test_a_newer_name_is_published_and_taken_by_every_gateway() -> None:
    (here, there), _, publisher = gateways(2)
    await there.present(OLD, 10.0)
    assert await here.present(NEW, 20.0) == NEW
    ((room, event),) = publisher.events
    assert isinstance(event, ProfileChanged)
    assert room == rooms.everyone()
    assert event.person == Person(id="ann", name="New", avatar="a.png")

    there.apply(event)
    assert there.current(OLD) == replace(OLD, name="New", avatar="a.png")


async def test_an_older_token_gets_the_newest_name_though_its_event_was_lost() -> None:
    (here, there), people, publisher = gateways(2)
    await here.present(NEW, 20.0)
    assert await there.present(OLD, 10.0) == replace(OLD, name="New", avatar="a.png")
    assert (await people.get(["ann"]))["ann"] == NEW
    assert publisher.events == []


async def test_a_new_user_s_name_gives_way_to_one_that_was_stored_meanwhile() -> None:
    (here, there), people, publisher = gateways(2)
    await there.present(NEW, 20.0, is_new=True)
    assert await here.present(OLD, 10.0, is_new=True) == replace(OLD, name="New", avatar="a.png")
    assert (await people.get(["ann"]))["ann"] == NEW
    assert publisher.events == []


async def test_an_older_event_changes_nothing() -> None:
    (profiles,), _, _ = gateways()
    await profiles.present(NEW, 20.0)
    profiles.apply(ProfileChanged(person=OLD, issued_at=15.0))
    assert profiles.current(OLD).name == "New"
