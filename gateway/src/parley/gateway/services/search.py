"""Finding what was said in one's own conversations."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from parley.gateway.core.commands import Search as SearchCommand
from parley.gateway.core.errors import Invalid, RateLimited
from parley.gateway.core.ports import Memberships, Search
from parley.gateway.core.results import MessageView, Page
from parley.gateway.services.access import Access
from parley.gateway.services.history import HistoryService
from parley.shared.model import Message, Person

MAX_TEXT = 200
"""Characters of what is searched for."""
MAX_WORDS = 8
"""Words that must all be found in a message."""
MAX_WORD = 50
"""Characters of each."""
MAX_SEARCHES_OF_ONE = 2
"""Searches of one user that a gateway does at the same time."""
RETRY_SECONDS = 1.0
"""After which one of them is over: about as long as one may take."""


class SearchService:
    """Searches no conversation but the asker's own."""

    def __init__(
        self, access: Access, memberships: Memberships, search: Search, history: HistoryService
    ) -> None:
        self._access = access
        self._memberships = memberships
        self._search = search
        self._history = history
        self._under_way: Counter[str] = Counter()

    async def find(self, person: Person, command: SearchCommand) -> Page:
        """A page of the messages that hold every word, newest first.

        A page may be short, or empty, and yet have a next one: then as much was read as one request may.

        Raises:
            NotFound: no such conversation for this user.
            Invalid: there is no word to look for, too many, too long a one, or the cursor is none.
            RateLimited: as many searches of this user are under way as may be.
        """
        words = searched_words(command.text)
        with self._turn(person.id):
            within = await self._within(person, command.conversation_id)
            found, cursor = await self._search.find(within, words, command.limit, command.before)
            return Page(tuple(await self._views(found)), cursor)

    @contextmanager
    def _turn(self, user_id: str) -> Iterator[None]:
        if self._under_way[user_id] >= MAX_SEARCHES_OF_ONE:
            raise RateLimited("Too many of your searches are under way.", retry_after=RETRY_SECONDS)
        self._under_way[user_id] += 1
        try:
            yield
        finally:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]

    async def _within(self, person: Person, conversation_id: str | None) -> list[str]:
        if conversation_id is None:
            return [m.conversation_id for m in await self._memberships.of_users([person.id])]
        await self._access.role(person.id, conversation_id)
        return [conversation_id]

    async def _views(self, messages: Sequence[Message]) -> list[MessageView]:
        by_conversation: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_conversation[message.conversation_id].append(message)
        views = {
            view.message.id: view
            for together in by_conversation.values()
            for view in await self._history.views(together)
        }
        return [views[message.id] for message in messages]


def searched_words(text: str) -> list[str]:
    """The words of a query: what white space parts; signs that stand alone are passed over.

    Raises:
        Invalid: there is none, there are too many, one is too long, or it is not text.
    """
    if len(text) > MAX_TEXT:
        raise Invalid.field("q", f"It must not be longer than {MAX_TEXT} characters.")
    if any(c == "\0" or unicodedata.category(c) == "Cs" for c in text):
        raise Invalid.field("q", "It must be valid Unicode without NUL.")
    words = list(dict.fromkeys(word for word in text.split() if any(_says_something(c) for c in word)))
    if not words:
        raise Invalid.field("q", "There must be a word in it.")
    if len(words) > MAX_WORDS:
        raise Invalid.field("q", f"At most {MAX_WORDS} words.")
    if any(len(word) > MAX_WORD for word in words):
        raise Invalid.field("q", f"No word may be longer than {MAX_WORD} characters.")
    return words


def _says_something(character: str) -> bool:
    """Letters, digits, and signs like currencies and emoji; not punctuation."""
    return unicodedata.category(character)[0] in "LNS"
