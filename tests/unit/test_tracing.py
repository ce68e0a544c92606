"""Tracing: off imports nothing, the gateway decides on sampling once, and no endpoint harms a message."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from clients.otlp_receiver import OtlpReceiver
from parley.persistence_worker.settings import Settings
from parley.shared.tracing import TraceContext, end_when_done, open_tracer, parse
from parley.shared.tracing_otlp import OtlpTracer

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
IMPORTED = """
import sys
print(sorted(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))
"""
OFF = """
import asyncio
import parley.gateway.serve, parley.persistence_worker.app
from parley.persistence_worker.settings import Settings
from parley.shared.tracing import open_tracer

async def main():
    async with open_tracer(Settings(), "parley-worker", "w1") as tracer:
        assert tracer is None

asyncio.run(main())
"""


def settings(endpoint: str = "http://127.0.0.1:9", **more: Any) -> Settings:
    return Settings(otel_exporter_otlp_endpoint=endpoint, **more)


def test_a_service_without_an_endpoint_imports_nothing_of_opentelemetry() -> None:
    # redis-py imports the SDK's metrics where it is installed, for a feature of its own.
    assert run(OFF + IMPORTED) == run("import redis" + IMPORTED)


def run(code: str) -> str:
    """Return what a process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "is_sampled"), [(SAMPLED, True), (UNSAMPLED, False), (f"01-{TRACE}-{SPAN}-03", True)]
)
def test_a_traceparent_names_the_span_of_another_process(text: str, is_sampled: bool) -> None:
    assert parse(text) == TraceContext(int(TRACE, 16), int(SPAN, 16), is_sampled)


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, 7, [], {}, "", "0" * 55, SAMPLED.upper(), SAMPLED + "-", SAMPLED[:-1], f" {SAMPLED[1:]}"),
        *(f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01"),
        SAMPLED.replace("4", "\N{FULLWIDTH DIGIT FOUR}"),
    ],
)
def test_a_traceparent_of_another_form_is_none(wrong: Any) -> None:
    assert parse(wrong) is None


@pytest.mark.parametrize(
    ("sampler", "share", "parents", "is_traced"),
    [
        ("parentbased_traceidratio", 0.0, (SAMPLED,), True),
        ("parentbased_traceidratio", 1.0, (UNSAMPLED,), False),
        ("parentbased_traceidratio", 1.0, (), True),
        ("parentbased_traceidratio", 0.0, (), False),
        ("parentbased_traceidratio", 0.0, ("garbage", SAMPLED), True),
        ("parentbased_traceidratio", 0.0, (UNSAMPLED, SAMPLED), False),
        ("traceidratio", 0.0, (SAMPLED,), False),
        ("traceidratio", 1.0, (UNSAMPLED,), True),
    ],
)
def test_a_request_is_sampled_by_its_client_or_by_the_share(
    sampler: str, share: float, parents: tuple[Any, ...], is_traced: bool
) -> None:
    tracer = OtlpTracer(settings(otel_traces_sampler=sampler, otel_traces_sampler_arg=share), "s", "i")
    span = tracer.sample("accept", parents, {})
    assert (span is not None) is is_traced
    if span is not None and parents:
        assert span.traceparent.split("-")[1] == TRACE
    tracer.close()


async def test_a_span_reaches_the_endpoint_with_its_service_and_headers() -> None:
    async with OtlpReceiver() as receiver:
        given = settings(f"{receiver.url}/", otel_exporter_otlp_headers="x-key=a%20secret")
        async with open_tracer(given, "parley-worker", "w1") as tracer:
            assert tracer is not None
            span = tracer.start("persist", "consumer", SAMPLED, {"a": 1})
            span.note({"b": "c"})
            span.end("FAILED")
        (received,) = receiver.spans
    assert (received.trace_id, received.parent_id, received.name) == (TRACE, SPAN, "persist")
    assert (received.kind, received.service, received.instance) == ("consumer", "parley-worker", "w1")
    assert (received.attributes, received.error) == ({"a": 1, "b": "c"}, "FAILED")
    assert receiver.headers["x-key"] == "a secret"


async def test_a_message_s_garbage_context_begins_a_trace_of_its_own() -> None:
    async with OtlpReceiver() as receiver:
        async with open_tracer(settings(receiver.url), "s", "i") as tracer:
            assert tracer is not None
            tracer.start("persist", "consumer", "garbage", {}).end()
        assert [span.parent_id for span in receiver.spans] == [""]


async def test_an_endpoint_that_hangs_holds_up_neither_messages_nor_the_end_of_the_service() -> None:
    async with OtlpReceiver() as receiver:
        receiver.answers.clear()
        began = time.monotonic()
        async with open_tracer(settings(receiver.url), "s", "i") as tracer:
            assert tracer is not None
            for _ in range(5000):
                tracer.start("persist", "consumer", SAMPLED, {}).end()
        assert time.monotonic() - began < 5


async def test_spans_that_an_endpoint_does_not_take_are_bounded() -> None:
    async with OtlpReceiver() as receiver:
        receiver.answers.clear()
        tracer = OtlpTracer(settings(receiver.url), "s", "i")
        for _ in range(10_000):
            tracer.start("persist", "consumer", SAMPLED, {}).end()
        receiver.answers.set()
        await asyncio.to_thread(tracer.close)
        assert 0 < len(receiver.spans) < 5000


LOST = """
import os
os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "0.5"
from parley.persistence_worker.settings import Settings
from parley.shared import logs
from parley.shared.tracing_otlp import OtlpTracer

logs.configure("info", "json", worker="w1")
tracer = OtlpTracer(Settings(otel_exporter_otlp_endpoint="http://ann:secret@127.0.0.1:9"), "s", "i")
for _ in range(3):
    tracer.start("persist", "consumer", "", {}).end()
    tracer._provider.force_flush()
"""


def test_spans_that_are_lost_are_logged_once_without_the_password() -> None:
    (line,) = run(LOST).splitlines()
    assert '"event": "shared.tracing.export_failed"' in line
    assert '"endpoint": "127.0.0.1:9"' in line
    assert '"worker": "w1"' in line


class RecordedSpan:
    traceparent = SAMPLED

    def __init__(self) -> None:
        self.ends: list[str | None] = []

    def note(self, attributes: Any) -> None: ...

    def end(self, error: str | None = None) -> None:
        self.ends.append(error)


class Refused(Exception):
    code = "OVERLOADED"


@pytest.mark.parametrize(
    ("finish", "error"),
    [
        (lambda future: future.set_result(None), None),
        (lambda future: future.cancel(), "cancelled"),
        (lambda future: future.set_exception(Refused("a message's content")), "OVERLOADED"),
        (lambda future: future.set_exception(ValueError("a message's content")), "ValueError"),
    ],
)
async def test_a_span_ends_with_the_code_or_the_type_of_what_failed(finish: Any, error: str | None) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    finish(future)
    span = RecordedSpan()
    end_when_done(span, future)
    assert span.ends == [error]
