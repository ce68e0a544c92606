"""A worker knows the others by their last announcements."""

import pytest
from aio_pika import Message

from parley.persistence_worker.claims import Announcement, Claims
from parley.persistence_worker.other_workers import OtherWorkers

NOTHING = Claims()
MINE = Claims(frozenset({1, 2}), frozenset({1}))


def announced(
    worker: str, claims: Claims = NOTHING, *, present: bool = True, connection: str = "1", sent: float = 0.0
) -> Announcement:
    return Announcement(queue=f"{worker}.{connection}", present=present, claims=claims, sent=sent)


@pytest.fixture
def others() -> OtherWorkers:
    return OtherWorkers("m")


@pytest.mark.parametrize("present", [True, False])
def test_an_announcement_is_the_same_after_it_was_sent(present: bool) -> None:
    sent = Announcement(queue="b.1", present=present, claims=MINE, sent=2.5, known=frozenset({"c.1"}))
    assert Announcement.from_message(sent.to_message()) == sent


@pytest.mark.parametrize(
    "headers",
    [{}, {"held": None, "locked": 3, "sent": "now", "known": 1}, {"held": ["1", b"2"], "known": [5]}],
)
def test_headers_of_another_form_claim_nothing(headers: dict[str, object]) -> None:
    message = Message(b"", app_id="b.1", type="present", headers=headers)  # type: ignore[arg-type]
    assert Announcement.from_message(message) == announced("b")


def test_a_message_without_a_sender_is_ignored() -> None:
    assert Announcement.from_message(Message(b"")) is None


def test_a_worker_is_unknown_at_its_first_message_only(others: OtherWorkers) -> None:
    assert others.receive(announced("b"))
    assert not others.receive(announced("b"))
    others.forget("b.1")
    assert others.receive(announced("b"))


def test_a_worker_does_not_count_itself(others: OtherWorkers) -> None:
    assert not others.receive(announced("m"))
    assert others.count() == 0


def test_a_new_connection_of_a_worker_replaces_the_one_before(others: OtherWorkers) -> None:
    others.receive(announced("b", MINE, sent=1.0))
    assert others.receive(announced("b", connection="2", sent=2.0))

    assert others.count() == 1
    assert list(others) == ["b.2"]
    assert not others.is_claimed(1)


def test_a_message_that_a_later_one_overtook_is_ignored(others: OtherWorkers) -> None:
    others.receive(announced("b", connection="2", sent=2.0))
    assert not others.receive(announced("b", MINE, sent=1.0))

    assert list(others) == ["b.2"]
    assert not others.is_claimed(1)


def test_a_worker_that_is_not_present_is_not_counted_and_keeps_its_claims(others: OtherWorkers) -> None:
    others.receive(announced("b", MINE, present=False))
    others.receive(announced("c"))

    assert others.count() == 1
    assert others.is_claimed(1)
    assert not others.is_claimed(0)


def test_the_claims_of_a_forgotten_worker_are_void(others: OtherWorkers) -> None:
    others.receive(announced("b", MINE))
    others.forget("b.1")
    assert not others.is_claimed(1)

    others.receive(announced("b", MINE))
    assert others.forget_silent(100.0) == []
    assert others.forget_silent(0.0) == ["b.1"]
    assert not others.is_claimed(1)


def test_the_queue_of_a_known_worker_or_of_this_one_is_not_unknown(others: OtherWorkers) -> None:
    others.receive(announced("b"))
    assert others.unknown(["b.1", "b.2", "c.1", "m.1"]) == ["c.1"]


@pytest.mark.parametrize("worker", ["a", "z"])
def test_the_holder_of_the_lock_outranks_a_worker_without_it(others: OtherWorkers, worker: str) -> None:
    others.receive(announced(worker, Claims(frozenset({1, 2}), frozenset({2}))))
    assert others.outranking(Claims(frozenset({1, 2}), frozenset({1}))) == [2]


@pytest.mark.parametrize(("worker", "outranking"), [("a", [2]), ("z", [])])
def test_without_locks_the_smaller_id_outranks(
    others: OtherWorkers, worker: str, outranking: list[int]
) -> None:
    others.receive(announced(worker, Claims(frozenset({1, 2}))))
    assert others.outranking(Claims(frozenset({2, 3}))) == outranking
