"""`python -m load.trace`: trace messages of a stack with two gateways, and draw the median one as SVG."""

import argparse
import asyncio
import secrets
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from clients.chat import ChatUsers, eventually
from clients.otlp_receiver import OtlpReceiver, ReceivedSpan
from load.report.chart import COLOURS, text, ticks
from parley.stack import Stack

PICTURE = Path(__file__).resolve().parents[2] / "deploy/observe/trace.svg"
SPANS = 6
"""Spans of a message whose conversation has sockets at two gateways."""
FIRST_ONES = 20
"""Messages that open connections and fill caches."""
NS = 1e6
WIDTH, LEFT, RIGHT, TOP, ROW = 760, 230, 70, 56, 28
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-size: 14px; font-weight: 600 }
.grid { stroke: #8b949e; stroke-opacity: .3 }
@media (prefers-color-scheme: dark) { text { fill: #adbac7 } }"""


async def measure(directory: Path, messages: int) -> list[Sequence[ReceivedSpan]]:
    """Send messages one after the other; return the trace of each."""
    async with OtlpReceiver() as receiver:
        settings: dict[str, Any] = {
            "RATE_LIMITS": "off",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_TRACES_SAMPLER_ARG": "0",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with Stack(directory, gateways=2, workers=1, settings=settings) as stack:
            users = ChatUsers(stack.url, stack.jwt_secret)
            ann, bob = [
                await users.user(name).socket(url=url)
                for name, url in zip(("ann", "bob"), stack.gateway_urls, strict=True)
            ]
            group = await users.group(ann, "bob")
            for socket in (ann, bob):
                await socket.call_ok("joinRoom", {"conversationId": group})
            traces = []
            for number in range(FIRST_ONES + messages):
                trace_id = secrets.token_hex(16)
                context = f"00-{trace_id}-{secrets.token_hex(8)}-01"
                await ann.send(group, f"message {number}", traceparent=context)
                traces.append(await _whole(receiver, trace_id))
            await users.close()
    return traces[FIRST_ONES:]


async def _whole(receiver: OtlpReceiver, trace_id: str) -> Sequence[ReceivedSpan]:
    await eventually(lambda: len(receiver.of(trace_id)) == SPANS)
    return receiver.of(trace_id)


def duration(trace: Sequence[ReceivedSpan]) -> int:
    """Return the time from the first span's begin to the last one's end, in ns."""
    return max(span.ended for span in trace) - min(span.began for span in trace)


def draw(trace: Sequence[ReceivedSpan]) -> str:
    """Return the spans as bars over time, in the colour of their process."""
    first, total = min(span.began for span in trace), duration(trace)
    processes = sorted({span.instance for span in trace})
    height = TOP + ROW * len(trace) + 30
    scale = (WIDTH - LEFT - RIGHT) / total
    title = "One message: accepted by g1, stored by w1, written to sockets by g1 and g2"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        text(12, 22, title, kind="title"),
    ]
    for tick in ticks(0, total / NS):
        x = LEFT + tick * NS * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 12}" y2="{height - 26}"/>')
        parts.append(text(x, height - 10, f"{tick:g} ms", anchor="middle"))
    for row, span in enumerate(sorted(trace, key=lambda span: (span.began, -span.ended))):
        x, y = LEFT + (span.began - first) * scale, TOP + ROW * row
        width = max(1.5, (span.ended - span.began) * scale)
        colour = COLOURS[processes.index(span.instance)]
        parts += [
            text(LEFT - 12, y + 13, f"{span.name} · {span.instance}", anchor="end"),
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 10}" rx="3" fill="{colour}"/>',
            text(x + width + 6, y + 13, f"{(span.ended - span.began) / NS:.2f} ms"),
        ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Read the arguments, measure on an own stack and write the picture."""
    parser = argparse.ArgumentParser(prog="python -m load.trace", description=__doc__)
    parser.add_argument("--messages", type=int, default=101)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-trace-") as directory:
        traces = sorted(asyncio.run(measure(Path(directory), args.messages)), key=duration)
    median = traces[len(traces) // 2]
    args.picture.write_text(draw(median))
    print(f"{len(traces)} messages, {duration(median) / NS:.1f} ms in the median: {args.picture}")


if __name__ == "__main__":
    main()
