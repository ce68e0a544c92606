"""Callers wait for the confirmations of all channels that they subscribe to, and for no others."""

from parley.gateway.pubsub.confirmations import Confirmations


async def test_a_caller_waits_for_all_of_its_channels() -> None:
    confirmations = Confirmations()
    waiter = confirmations.begin({"a", "b"})
    confirmations.confirm(["a"])
    assert not waiter.done.done()
    confirmations.confirm(["b"])
    assert waiter.done.done()
    assert confirmations.missing(["a", "b", "c"]) == {"c"}


async def test_two_callers_wait_for_the_same_channel() -> None:
    confirmations = Confirmations()
    one, other = confirmations.begin({"a"}), confirmations.begin({"a", "b"})
    confirmations.confirm(["a"])
    assert (one.done.done(), other.done.done()) == (True, False)


async def test_a_caller_that_gave_up_is_forgotten() -> None:
    confirmations = Confirmations()
    gone, waiter = confirmations.begin({"a"}), confirmations.begin({"a"})
    gone.done.cancel()
    confirmations.end(gone)
    confirmations.confirm(["a"])
    assert waiter.done.done()
    assert confirmations._waiters == {}


async def test_a_dropped_channel_is_not_confirmed_any_more() -> None:
    confirmations = Confirmations()
    for channel in ("a", "b"):
        confirmations.confirm([channel])
    confirmations.drop(["a"])
    assert confirmations.missing(["a", "b"]) == {"a"}
    assert ("a" in confirmations, "b" in confirmations) == (False, True)
    assert len(confirmations) == 1
