"""Sequences in which the model test once found a bug, as plain tests."""

from collections.abc import Iterator

import pytest

from model.client import Held, SyncingClient
from model.fault_injector import Fault
from model.test_model import ChatMachine


@pytest.fixture
def machine() -> Iterator[ChatMachine]:
    """Two nodes, two workers, two conversations; all clients return and all is checked at the end."""
    machine = ChatMachine()
    machine.start(sent=0)
    yield machine
    machine.teardown()


def test_a_user_who_reads_at_one_socket_sees_it_at_both(machine: ChatMachine) -> None:
    machine.send(named=False, times=1, where="first", number=0)
    machine.settle()
    machine.connect(where=1, number=0)
    machine.read_all(where="first", number=1)
    machine.settle()


def test_a_returned_member_gets_the_conversation_though_an_audit_precedes_the_events(
    machine: ChatMachine,
) -> None:
    machine.leave(node=0, where="first", number=1)
    machine.audit(node=1)
    machine.send(named=False, times=1, where="first", number=0)
    machine.settle()
    machine.add(by=0, node=0, where="first", number=0)
    machine.settle()


def test_a_returned_member_gets_the_conversation_though_another_socket_knew_first(
    machine: ChatMachine,
) -> None:
    machine.send(named=True, times=1, where="first", number=0)
    machine.work(size=1, number=0)
    machine.kill(number=0)
    machine.leave(node=0, where="first", number=1)
    machine.connect(where=1, number=2)
    machine.add(by=0, node=0, where="first", number=0)
    machine.settle()


def test_a_socket_learns_of_a_conversation_that_only_a_later_socket_of_its_user_knows(
    machine: ChatMachine,
) -> None:
    machine.add(by=0, node=0, where="first", number=0)
    machine.connect(where=1, number=1)
    machine.lose_redis()
    machine.settle()


def test_a_return_whose_events_were_lost_reaches_each_socket(
    machine: ChatMachine,
) -> None:
    machine.remove(by=0, node=1, where="first", number=1)
    machine.deliver(node=1, count=6)
    machine.lose_events(node=0)
    machine.reconnect(number=1, where=0)
    machine.wait(seconds=1)
    machine.add(by=0, node=1, where="first", number=0)
    machine.lose_events(node=0)
    machine.settle()


def test_an_edit_whose_worker_froze_is_seen_though_a_retry_is_announced_first(
    machine: ChatMachine,
) -> None:
    machine.send(named=True, times=1, where="first", number=0)
    machine.work(size=1, number=0)
    machine.edit(message_number=0, number=1)
    machine.overtake(steps=24, size=3, number=1)
    machine.send_again(message_number=0, number=4)
    machine.edit(message_number=0, number=0)
    machine.work(size=3, number=1)
    machine.work(size=1, number=0)
    machine.settle()


@pytest.mark.parametrize("steps", range(6, 30))
@pytest.mark.parametrize("fault", ["fail", "stall"])
def test_edits_of_a_lost_worker_delivered_in_other_batches_leave_the_last_one(
    machine: ChatMachine, steps: int, fault: Fault
) -> None:
    machine.send(named=True, times=1, where="first", number=0)
    machine.settle()
    machine.overtake_edits(message_number=0, steps=steps, fault=fault, size=2)
    machine.settle()


def test_a_member_removed_during_a_bus_outage_gets_no_later_messages(
    machine: ChatMachine,
) -> None:
    bob = machine.cluster.clients[1]
    assert isinstance(bob, SyncingClient)
    machine.leave(node=0, where="first", number=1)
    machine.send(named=False, times=1, where="first", number=0)
    machine.work(size=1, number=0)

    # The messages are restored before the memberships are known.
    machine.cluster.nodes[1].injector.arm(2, "stall")
    machine.lose_redis()

    assert not bob.known.get("first", Held()).messages


def test_a_returned_member_found_by_an_audit_gets_each_message_once(machine: ChatMachine) -> None:
    machine.leave(node=0, where="first", number=1)
    machine.add(by=0, node=0, where="first", number=0)
    machine.send(named=False, times=1, where="first", number=0)
    machine.work(size=1, number=0)
    machine.audit(node=0)
    machine.audit(node=1)


def test_a_returned_member_sees_an_edit_made_while_a_late_event_kept_the_member_out(
    machine: ChatMachine,
) -> None:
    machine.remove(by=0, node=0, where="first", number=4)
    machine.add(by=0, node=0, where="first", number=0)
    machine.overtake_edits(fault="stall", message_number=0, size=3, steps=23)
    machine.edit(message_number=7, number=4)
    machine.audit(node=1)
    machine.settle()
