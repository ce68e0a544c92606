"""Metrics that both services keep, in Prometheus' exposition format."""

from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, Info

from parley.shared.tallies import SizesBy

BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

build = Info("parley_build", "The version of this service; the value is 1.")
build.info({"version": version("parley-shared")})
http_seconds = Histogram(
    "parley_http_request_seconds",
    "Time of HTTP requests, by route, method and status; without those that become websockets, seconds.",
    ["route", "method", "status"],
    buckets=SECONDS,
)
bus_failures = Counter("parley_bus_failures_total", "Redis operations that failed.", ["operation"])
broker_connected = Gauge("parley_broker_connected", "1 while RabbitMQ is connected.")
ready = Gauge("parley_ready", "1 if /readyz answered 200 when this was scraped.")
database_connected = Gauge("parley_database_connected", "1 if MongoDB answered when this was scraped.")
partitions = Gauge("parley_partitions", "Partitions that this service works with now.")
errors = Counter("parley_errors_total", "Log lines of level error, by kind: record, search, other.", ["kind"])
tasks = Gauge("parley_tasks", "Tasks of the event loop, including the one of this request.")
partitions_held = Gauge("parley_partitions_held", "Partitions that this worker owns.")
lag_seconds = Gauge("parley_lag_seconds", "Age of the oldest record being written, seconds; 0 without any.")
search_lag_seconds = Gauge(
    "parley_search_lag_seconds",
    "Age of the oldest change outside of the search index, seconds; 0 without any.",
)
search_unindexed = Gauge(
    "parley_search_unindexed", "Conversations with changes that are not in the search index."
)
dead_letters = Counter(
    "parley_dead_letters_total", "Records that could not be stored, in parley.dead_letters."
)
unknown_kinds = Counter(
    "parley_unknown_kinds_total", "Events or records of a kind that only a newer version knows.", ["what"]
)
for _kind in ("event", "record"):
    # A counter that appears with its first increment has not grown, as Prometheus sees it.
    unknown_kinds.labels(_kind)
batch_records = SizesBy("parley_batch_records", "Records or events of one batch, by hop.", "hop", BATCH)
batch_seconds = SizesBy("parley_batch_seconds", "Time of one batch, by hop, seconds.", "hop", SECONDS)
database_seconds = Histogram(
    "parley_database_seconds",
    "Time of MongoDB's commands, by operation, seconds.",
    ["operation"],
    buckets=SECONDS,
)
database_failures = Counter(
    "parley_database_failures_total", "Commands that MongoDB did not do, by operation.", ["operation"]
)
collection_seconds = SizesBy(
    "parley_gc_seconds",
    "Time in which Python's garbage collector stopped the process, by generation, seconds.",
    "generation",
    SECONDS,
)
