"""Metrics of the gateway: gauges that are read when they are scraped, counters, and times."""

from collections.abc import Callable
from functools import cache

from prometheus_client import Counter, Gauge, Info

from parley.gateway.core.errors import ChatError
from parley.shared.metrics import SECONDS
from parley.shared.tallies import Counts, Sizes, SizesBy

FAN_OUT = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)

gateway_info = Info("parley_gateway", "The name by which session ids and leases know this gateway.")
bus_stale = Gauge("parley_bus_stale", "1 while this gateway does not receive its own heartbeat by Redis.")
bus_sessions = Counter(
    "parley_bus_sessions_total", "Connections to Redis on which this gateway has subscribed to its channels."
)
connects = Counter(
    "parley_connects_total",
    "Clients that connected, by outcome: connected, or the error code of the refusal.",
    ["outcome"],
)
disconnects = Counter("parley_disconnects_total", "Clients that went, by reason.", ["reason"])
recoveries = Counter(
    "parley_recoveries_total",
    "Clients that asked for what they missed, by outcome: recovered, incomplete (they must sync), unknown.",
    ["outcome"],
)
sockets = Gauge("parley_sockets", "Connected sockets, by transport.", ["transport"])
events_received = Counts(
    "parley_events_received_total",
    "Events from clients that were handled, by command.",
    "command",
)
received_bytes = Counts(
    "parley_received_bytes_total",
    "Bytes of the events from clients that were handled, by command.",
    "command",
)
command_seconds = SizesBy(
    "parley_command_seconds",
    "Time from a client's event until its acknowledgement, by command, seconds.",
    "command",
    SECONDS,
)
gaps = Counter(
    "parley_gaps_total", "Times that a conversation's events had a gap, or were behind, and MongoDB was read."
)
backfilled = Counter(
    "parley_backfilled_messages_total", "Messages that were read from MongoDB because the bus had lost them."
)
deliveries = Counts("parley_deliveries_total", "Events written to sockets, by name.", "event")
delivered_bytes = Counts(
    "parley_delivered_bytes_total", "Bytes of the events written to sockets, by name.", "event"
)
fan_out_seconds = Sizes(
    "parley_fan_out_seconds",
    "Time to write a message or change to all sockets of this gateway, seconds.",
    FAN_OUT,
)
stored_seconds = Sizes(
    "parley_accepted_to_stored_seconds",
    "Time from the acceptance of a message or change here until it is known to be stored, seconds.",
    SECONDS,
)
delivered_seconds = Sizes(
    "parley_accepted_to_delivered_seconds",
    "Time from a message's acceptance, by that gateway's clock, to its delivery here, seconds.",
    SECONDS,
)
refusals = Counter(
    "parley_refusals_total", "Commands and connections of clients that were refused, by error code.", ["code"]
)
storage_free = Gauge(
    "parley_storage_free_ratio", "The share of MongoDB's disk that is free; 1 if that is not known."
)
held = Gauge("parley_held", "Objects that this gateway holds for its clients, by kind.", ["what"])

answer_bytes = Gauge(
    "parley_answer_bytes", "Bytes of answers that are being read, or that clients have not taken yet."
)
waiting = Gauge("parley_waiting", "Clients that wait for a slot, by what they wait to do.", ["what"])
hop_delay = Gauge(
    "parley_hop_delay_seconds", "How long this gateway's work waits at a hop, seconds, by hop.", ["hop"]
)


def show(**sizes: Callable[[], int]) -> None:
    """Export sizes by kind, each as `parley_held{what="<kind>"}`."""
    for kind, size in sizes.items():
        held.labels(kind).set_function(size)


def show_waiting(**counts: Callable[[], int]) -> None:
    """Export the number of waiting clients, each as `parley_waiting{what="<kind>"}`."""
    for kind, count in counts.items():
        waiting.labels(kind).set_function(count)


def show_transports(**counts: Callable[[], int]) -> None:
    """Export the number of sockets by transport, each as `parley_sockets{transport="<transport>"}`."""
    for transport, count_sockets in counts.items():
        sockets.labels(transport).set_function(count_sockets)


def show_delays(**delays: Callable[[], float]) -> None:
    """Export the delays of hops, each as `parley_hop_delay_seconds{hop="<hop>"}`."""
    for hop, seconds in delays.items():
        hop_delay.labels(hop).set_function(seconds)


def count(error: ChatError) -> ChatError:
    """Count an error that is sent to a client, and return it."""
    _refused(error.code).inc()
    return error


@cache
def _refused(code: str) -> Counter:
    return refusals.labels(code)


_errors: list[type[ChatError]] = [ChatError, *ChatError.__subclasses__()]
for _error in _errors:
    # A counter that appears with its first refusal has not grown, as Prometheus sees it.
    _refused(_error.code)
