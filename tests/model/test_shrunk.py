"""What the play found once, as plain tests."""

from collections.abc import Iterator

import pytest

from model.client import Held, SyncingClient
from model.test_model import ChatMachine


@pytest.fixture
def machine() -> Iterator[ChatMachine]:
    """Two nodes, two workers, two conversations; at the end everybody comes back, and all is checked."""
    machine = ChatMachine()
    machine.found(said=0)
    yield machine
    machine.teardown()


def test_whoever_looks_from_two_sockets_reads_at_one_and_sees_it_at_both(machine: ChatMachine) -> None:
    machine.send(named=False, times=1, where="first", who=0)
    machine.settle()
    machine.connect(where=1, who=0)
    machine.read_all(where="first", who=1)
    machine.settle()


def test_who_was_removed_and_came_back_is_told_though_an_audit_came_before_the_news(
    machine: ChatMachine,
) -> None:
    machine.leave(node=0, where="first", who=1)
    machine.audit(node=1)
    machine.send(named=False, times=1, where="first", who=0)
    machine.settle()
    machine.add(by=0, node=0, where="first", who=0)
    machine.settle()


def test_who_was_removed_and_came_back_is_told_though_their_other_socket_found_out_first(
    machine: ChatMachine,
) -> None:
    machine.send(named=True, times=1, where="first", who=0)
    machine.work(size=1, who=0)
    machine.kill(number=0)
    machine.leave(node=0, where="first", who=1)
    machine.connect(where=1, who=2)
    machine.add(by=0, node=0, where="first", who=0)
    machine.settle()


def test_a_socket_hears_of_a_conversation_that_only_a_later_socket_of_its_user_knows(
    machine: ChatMachine,
) -> None:
    machine.add(by=0, node=0, where="first", who=0)
    machine.connect(where=1, who=1)
    machine.forget()
    machine.settle()


def test_an_edit_whose_worker_froze_before_it_told_is_seen_though_a_retry_is_told_first(
    machine: ChatMachine,
) -> None:
    machine.send(named=True, times=1, where="first", who=0)
    machine.work(size=1, who=0)
    machine.edit(which=0, who=1)
    machine.overtake(moments=24, size=3, who=1)
    machine.send_again(which=0, who=4)
    machine.edit(which=0, who=0)
    machine.work(size=3, who=1)
    machine.work(size=1, who=0)
    machine.settle()


def test_who_was_put_out_while_the_bus_was_away_is_told_nothing_that_was_said_since(
    machine: ChatMachine,
) -> None:
    bob = machine.cluster.clients[1]
    assert isinstance(bob, SyncingClient)
    machine.leave(node=0, where="first", who=1)
    machine.send(named=False, times=1, where="first", who=0)
    machine.work(size=1, who=0)

    # All is heard of the messages before it is known who is in what.
    machine.cluster.nodes[1].injector.arm(2, "stall")
    machine.forget()

    assert not bob.known.get("first", Held()).messages


def test_who_came_back_and_is_let_in_by_an_audit_hears_a_message_once(machine: ChatMachine) -> None:
    machine.leave(node=0, where="first", who=1)
    machine.add(by=0, node=0, where="first", who=0)
    machine.send(named=False, times=1, where="first", who=0)
    machine.work(size=1, who=0)
    machine.audit(node=0)
    machine.audit(node=1)
