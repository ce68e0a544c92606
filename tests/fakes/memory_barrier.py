"""A barrier without a queue behind it."""


class NothingAccepted:
    """`CommitBarrier` where all that was accepted is stored already."""

    async def wait(self, conversation_id: str) -> None:
        """Return at once."""
