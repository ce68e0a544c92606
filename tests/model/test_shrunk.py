"""What the play found once, as plain tests."""

from collections.abc import Iterator

import pytest

from model.client import Held, Knowing
from model.test_model import Play


@pytest.fixture
def play() -> Iterator[Play]:
    """Two nodes, two workers, two conversations; at the end everybody comes back, and all is checked."""
    play = Play()
    play.found(said=0)
    yield play
    play.teardown()


def test_whoever_looks_from_two_sockets_reads_at_one_and_sees_it_at_both(play: Play) -> None:
    play.send(named=False, times=1, where="first", who=0)
    play.settle()
    play.connect(where=1, who=0)
    play.read_all(where="first", who=1)
    play.settle()


def test_who_was_removed_and_came_back_is_told_though_an_audit_came_before_the_news(play: Play) -> None:
    play.leave(node=0, where="first", who=1)
    play.audit(node=1)
    play.send(named=False, times=1, where="first", who=0)
    play.settle()
    play.add(by=0, node=0, where="first", who=0)
    play.settle()


def test_who_was_removed_and_came_back_is_told_though_their_other_socket_found_out_first(play: Play) -> None:
    play.send(named=True, times=1, where="first", who=0)
    play.work(size=1, who=0)
    play.kill(number=0)
    play.leave(node=0, where="first", who=1)
    play.connect(where=1, who=2)
    play.add(by=0, node=0, where="first", who=0)
    play.settle()


def test_a_socket_hears_of_a_conversation_that_only_a_later_socket_of_its_user_knows(play: Play) -> None:
    play.add(by=0, node=0, where="first", who=0)
    play.connect(where=1, who=1)
    play.forget()
    play.settle()


def test_an_edit_whose_worker_froze_before_it_told_is_seen_though_a_retry_is_told_first(play: Play) -> None:
    play.send(named=True, times=1, where="first", who=0)
    play.work(size=1, who=0)
    play.edit(which=0, who=1)
    play.overtake(moments=24, size=3, who=1)
    play.send_again(which=0, who=4)
    play.edit(which=0, who=0)
    play.work(size=3, who=1)
    play.work(size=1, who=0)
    play.settle()


def test_who_was_put_out_while_the_bus_was_away_is_told_nothing_that_was_said_since(play: Play) -> None:
    bob = play.town.clients[1]
    assert isinstance(bob, Knowing)
    play.leave(node=0, where="first", who=1)
    play.send(named=False, times=1, where="first", who=0)
    play.work(size=1, who=0)

    # All is heard of the messages before it is known who is in what.
    play.town.nodes[1].trap.set(2, "stall")
    play.forget()

    assert not bob.known.get("first", Held()).messages


def test_who_came_back_and_is_let_in_by_an_audit_hears_a_message_once(play: Play) -> None:
    play.leave(node=0, where="first", who=1)
    play.add(by=0, node=0, where="first", who=0)
    play.send(named=False, times=1, where="first", who=0)
    play.work(size=1, who=0)
    play.audit(node=0)
    play.audit(node=1)
