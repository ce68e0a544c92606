"""A limit on the requests of one user that run at the same time."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ConcurrencyLimit:
    """Counts running requests by user, and refuses more than the limit allows.

    Args:
        per_user: Requests of one user, at most.
        refusal: Makes the error that a refused request raises.
    """

    def __init__(self, per_user: int, refusal: Callable[[], Exception]) -> None:
        self._per_user = per_user
        self._refusal = refusal
        self._running: Counter[str] = Counter()

    @contextmanager
    def slot(self, user_id: str) -> Iterator[None]:
        """Hold a slot of a user while the block runs. Raises the refusal if there is none."""
        if self._running[user_id] >= self._per_user:
            raise self._refusal()
        self._running[user_id] += 1
        try:
            yield
        finally:
            self._running[user_id] -= 1
            if not self._running[user_id]:
                del self._running[user_id]
