"""The load generator's accounts: each delivery that is due is counted once, and its delay in a histogram."""

import random

import pytest

from load.figures import percentile as exact_percentile
from load.generator.groups import GroupKind, group_rates, parse_groups, split_groups
from load.generator.histogram import PER_SECOND, of_seconds, percentile
from load.generator.ledger import Balance, Ledger, Tally

ANN, BOB, CEM = 0b001, 0b010, 0b100
EVERYBODY = ANN | BOB | CEM
RUN = 0xABCD


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(RUN)


def stored(ledger: Ledger) -> bytes:
    """Return a message that was accepted and is stored, and that nobody has received."""
    name = ledger.send(EVERYBODY, 0.0)
    ledger.accept(name, 0.1)
    assert ledger.store(name)
    return name


def test_a_message_that_each_member_received_leaves_nothing_open(ledger: Ledger) -> None:
    name = stored(ledger)
    for member in (ANN, BOB, CEM):
        ledger.deliver(name, member, 0.2)
    assert ledger.balance().is_even
    assert ledger.tally.delivered == 3


def test_each_delivery_of_an_accepted_message_that_did_not_arrive_is_missing(ledger: Ledger) -> None:
    ledger.deliver(stored(ledger), BOB, 0.2)
    stored(ledger)
    assert ledger.balance() == Balance(missing=5)


def test_a_message_without_an_answer_is_unanswered_and_no_delivery_of_it_is_missing(ledger: Ledger) -> None:
    ledger.send(EVERYBODY, 0.0)
    assert ledger.balance() == Balance(unanswered=1)


def test_an_accepted_message_without_its_confirmation_is_unstored(ledger: Ledger) -> None:
    name = ledger.send(ANN, 0.0)
    ledger.accept(name, 0.1)
    ledger.deliver(name, ANN, 0.2)
    assert ledger.balance() == Balance(unstored=1)


@pytest.mark.parametrize("others", [0, BOB | CEM])
def test_a_second_delivery_to_a_member_is_doubled_also_when_all_have_received_it(
    ledger: Ledger, others: int
) -> None:
    name = stored(ledger)
    for member in (ANN, others & BOB, others & CEM):
        if member:
            ledger.deliver(name, member, 0.2)
    ledger.deliver(name, ANN, 0.3)
    assert ledger.tally.doubled == 1


def test_a_second_delivery_to_a_member_that_was_disconnected_is_a_repeat(ledger: Ledger) -> None:
    name = stored(ledger)
    ledger.deliver(name, ANN, 0.2)
    ledger.deliver(name, ANN, 0.3, steady=False)
    assert (ledger.tally.doubled, ledger.tally.repeated) == (0, 1)


def test_a_message_that_nobody_sent_is_unexpected(ledger: Ledger) -> None:
    name = stored(ledger)
    ledger.deliver(Ledger(RUN + 1).send(ANN, 0.0), ANN, 0.2)
    ledger.deliver(name[:-1] + b"7", ANN, 0.2)
    assert ledger.tally.unexpected == 2


def test_a_message_to_somebody_outside_of_the_group_is_unexpected(ledger: Ledger) -> None:
    ledger.deliver(stored(ledger), 0b1000, 0.2)
    assert ledger.tally.unexpected == 1


def test_no_delivery_of_a_refused_message_is_missing_and_those_that_came_are_counted(ledger: Ledger) -> None:
    name = ledger.send(EVERYBODY, 0.0)
    ledger.deliver(name, ANN, 0.1)
    ledger.refuse(name, "OVERLOADED", 0.2)
    ledger.deliver(name, BOB, 0.3)
    assert ledger.balance().is_even
    assert ledger.tally.refused == {"OVERLOADED": 1}
    assert ledger.tally.refused_deliveries == {"OVERLOADED": 2}


def test_a_message_that_was_rejected_after_its_acceptance_counts_as_refused_only(ledger: Ledger) -> None:
    name = ledger.send(EVERYBODY, 0.0)
    ledger.accept(name, 0.1)
    ledger.refuse(name, "REJECTED", 0.2)
    assert (ledger.tally.accepted, ledger.tally.refused.total()) == (0, 1)
    assert ledger.balance().is_even


def test_a_repeated_answer_and_a_repeated_confirmation_count_once(ledger: Ledger) -> None:
    name = stored(ledger)
    ledger.accept(name, 0.4)
    assert not ledger.store(name)
    assert (ledger.tally.accepted, ledger.tally.stored) == (1, 1)


def test_delays_count_from_the_intended_time_and_apart_for_the_disconnected(ledger: Ledger) -> None:
    name = ledger.send(EVERYBODY, 1.0)
    ledger.accept(name, 1.25)
    ledger.deliver(name, ANN, 1.5)
    ledger.deliver(name, BOB, 3.0, steady=False)
    assert ledger.tally.accepted_delays == of_seconds(0.25)
    assert ledger.tally.delivered_delays == of_seconds(0.5)
    assert ledger.tally.returned_delays == of_seconds(2.0)


def test_tallies_of_seconds_and_processes_add_up(ledger: Ledger) -> None:
    total = Tally()
    names = [stored(ledger) for _ in range(3)]
    total.add(ledger.take())
    for name in names:
        ledger.deliver(name, ANN, 0.5)
    ledger.tally.late = 0.25
    total.add(ledger.take())
    assert (total.sent, total.stored, total.delivered, total.late) == (3, 3, 3, 0.25)
    assert total.delivered_delays == of_seconds(0.5, 0.5, 0.5)
    assert ledger.tally == Tally()


def test_percentiles_of_a_histogram_are_those_of_the_delays_to_a_unit() -> None:
    delays = [random.Random(7).expovariate(20) for _ in range(5_000)]
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        wanted = exact_percentile(delays, share)
        assert wanted <= percentile(of_seconds(*delays), share) <= wanted + 1.001 / PER_SECOND


def test_no_delays_have_a_percentile_of_zero() -> None:
    assert percentile({}, 0.5) == 0.0


def test_a_mix_of_groups_is_read() -> None:
    assert parse_groups("20x10, 1x1000@20") == (GroupKind(20, 10), GroupKind(1, 1000, 20.0))


@pytest.mark.parametrize("text", ["", "20", "x10", "0x10", "3x1", "20x10,", "1x10@", "-1x10", "1x10@a"])
def test_a_mix_that_is_none_is_refused_with_what_it_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="20x10"):
        parse_groups(text)


def test_groups_without_a_rate_share_that_of_the_run() -> None:
    kinds = parse_groups("40x10,10x20,2x100@30")
    assert group_rates(kinds, 100.0) == (2.0, 2.0, 15.0)


def test_each_group_is_in_one_process_and_the_sockets_are_spread() -> None:
    kinds = parse_groups("100x10,2x300")
    shares = split_groups(kinds, 2)
    assert sorted(shares[0] + shares[1]) == [0] * 100 + [1] * 2
    assert {sum(kinds[index].size for index in share) for share in shares} == {800}
