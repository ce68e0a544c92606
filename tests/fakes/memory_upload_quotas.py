"""The counts of uploads in memory."""

from collections import Counter


class MemoryUploadQuotas:
    """`UploadQuotas`."""

    def __init__(self) -> None:
        self.used: Counter[tuple[str, str]] = Counter()

    async def reserve(self, user_id: str, day: str, size: int, quota: int) -> bool:
        if self.used[user_id, day] + size > quota:
            return False
        self.used[user_id, day] += size
        return True

    async def settle(self, user_id: str, day: str, change: int) -> None:
        self.used[user_id, day] += change
