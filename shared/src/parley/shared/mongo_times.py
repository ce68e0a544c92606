"""Times of MongoDB's commands; counted by the client library, since the driver has threads."""

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from parley.shared.metrics import database_failures, database_seconds

MICROSECOND = 1e-6


class CommandTimes(CommandListener):
    """Measures each command, by its operation: `find`, `update`, `ping` and so on."""

    def started(self, event: CommandStartedEvent) -> None:
        """Do nothing: the end has the time."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count the time of a command."""
        database_seconds.labels(event.command_name).observe(event.duration_micros * MICROSECOND)

    def failed(self, event: CommandFailedEvent) -> None:
        """Count a command that had no answer, or that the server did not do."""
        database_failures.labels(event.command_name).inc()
