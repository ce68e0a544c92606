"""The command bus: dispatches each command to its service by the command table."""

from typing import Any

from parley.gateway.core.commands import Command
from parley.gateway.core.eventual import Eventual, settle
from parley.gateway.services.command_table import COMMANDS
from parley.gateway.services.composition import Services
from parley.shared.model import Person


class CommandBus:
    """Handles the commands of users, whatever protocol and transport they came by."""

    def __init__(self, services: Services) -> None:
        self._handlers = {
            command: spec.handler(services) for command, spec in COMMANDS.items() if spec.handler is not None
        }

    def begin(self, person: Person, command: Command) -> Eventual[Any]:
        """Do what a user's command asks, as far as nothing has to be awaited; see `handle`."""
        return self._handlers[type(command)](person, command)

    async def handle(self, person: Person, command: Command) -> Any:
        """Do what a user's command asks.

        Returns:
            One of the `results`; a `PendingCommit` holds as soon as its future does.

        Raises:
            ChatError: The command is refused, and nothing has changed.
        """
        return await settle(self.begin(person, command))
