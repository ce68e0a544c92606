"""Full-text search in a user's conversations."""

import unicodedata

from parley.gateway.core.commands import Search as SearchCommand
from parley.gateway.core.errors import Invalid, RateLimited
from parley.gateway.core.pagination import Page
from parley.gateway.core.ports import Memberships, Search
from parley.gateway.core.results import MessageView
from parley.gateway.services.access import Access
from parley.gateway.services.concurrency import ConcurrencyLimit
from parley.gateway.services.history import HistoryService
from parley.shared.model import Person

MAX_TEXT = 200
"""Characters of a query."""
MAX_WORDS = 8
"""Words of a query."""
MAX_WORD = 50
"""Characters of one word."""
MAX_SEARCHES_OF_ONE = 2
"""Concurrent searches of one user at one gateway."""
RETRY_SECONDS = 1.0
"""About as long as a search may take: then one of the running searches has ended."""


class SearchService:
    """Searches the conversations of the user, and no others."""

    def __init__(
        self, access: Access, memberships: Memberships, search: Search, history: HistoryService
    ) -> None:
        self._access = access
        self._memberships = memberships
        self._search = search
        self._history = history
        self._limit = ConcurrencyLimit(MAX_SEARCHES_OF_ONE, _too_many)

    async def find(self, person: Person, command: SearchCommand) -> Page[MessageView]:
        """Return a page of the messages that contain every word, newest first.

        A page with a cursor may be short, or empty: then the work of one request was used up.

        Raises:
            NotFound: There is no such conversation for this user.
            Invalid: The query has no word, too many words or too long a word, or the cursor is malformed.
            RateLimited: Too many searches of this user are running.
        """
        words = searched_words(command.text)
        with self._limit.slot(person.id):
            hidden = await self._searched(person, command.conversation_id)
            found, cursor = await self._search.find(hidden, words, command.limit, command.before)
            return Page(tuple(await self._history.views(found)), cursor)

    async def _searched(self, person: Person, conversation_id: str | None) -> dict[str, int]:
        """Return the conversations to search, and the number up to which the messages of each are hidden."""
        if conversation_id is None:
            return await self._memberships.hidden_of(person.id)
        return {conversation_id: (await self._access.standing(person.id, conversation_id)).hidden}


def _too_many() -> RateLimited:
    return RateLimited("Too many of your searches are running.", retry_after=RETRY_SECONDS)


def searched_words(text: str) -> list[str]:
    """Split a query at white space; words of punctuation only are ignored.

    Raises:
        Invalid: There is no word, too many words or too long a word, or the text is not valid.
    """
    if len(text) > MAX_TEXT:
        raise Invalid.field("q", f"It must not be longer than {MAX_TEXT} characters.")
    if any(c == "\0" or unicodedata.category(c) == "Cs" for c in text):
        raise Invalid.field("q", "It must be valid Unicode without NUL.")
    words = list(dict.fromkeys(word for word in text.split() if any(_is_searchable(c) for c in word)))
    if not words:
        raise Invalid.field("q", "It must contain a word.")
    if len(words) > MAX_WORDS:
        raise Invalid.field("q", f"At most {MAX_WORDS} words.")
    if any(len(word) > MAX_WORD for word in words):
        raise Invalid.field("q", f"No word may be longer than {MAX_WORD} characters.")
    return words


def _is_searchable(character: str) -> bool:
    """Whether a character is a letter, a digit or a symbol such as a currency or an emoji."""
    return unicodedata.category(character)[0] in "LNS"
