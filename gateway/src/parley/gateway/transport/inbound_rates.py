"""Limits on the bytes that clients send, with a token or without, by session and by address."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from parley.gateway.state.rates import RateKind, Rates

PACKET_BYTES = 512
"""A packet counts as at least so many bytes, because a short one takes about as long to handle."""
REQUEST_BYTES = 1024
"""A request counts as at least so many bytes."""
PAUSE_SECONDS = 0.25
"""Many sockets may wait for one address's bytes: each looks again only so often."""


class InboundRates:
    """Counts bytes before they are decoded.

    Args:
        rates: The limits, of which `session_bytes` and `address_bytes` are used.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def count(self, session_id: str, address: str, size: int) -> None:
        """Count bytes.

        Raises:
            RateLimited: The session or the address sends too much.
        """
        if size > 0:
            self._rates.count("session_bytes", session_id, size)
            self._rates.count("address_bytes", address, size)

    def admit(self, session_id: str, address: str, size: int) -> Coroutine[Any, Any, None] | None:
        """Count a packet; returns None, or what waits until its session and its address may send it."""
        counted = max(size, PACKET_BYTES)
        if self._rates.try_count("session_bytes", session_id, counted) > 0:
            return self._wait_for_both(session_id, address, counted)
        if self._rates.try_count("address_bytes", address, counted) > 0:
            return self._wait("address_bytes", address, counted)
        return None

    def forget(self, session_id: str) -> None:
        """Forget a session that has closed."""
        self._rates.forget("session_bytes", session_id)

    async def _wait_for_both(self, session_id: str, address: str, size: int) -> None:
        await self._wait("session_bytes", session_id, size)
        await self._wait("address_bytes", address, size)

    async def _wait(self, kind: RateKind, key: str, size: int) -> None:
        seconds = self._rates.try_count(kind, key, size)
        while seconds > 0:
            await asyncio.sleep(seconds + PAUSE_SECONDS)
            seconds = self._rates.try_count(kind, key, size)
