"""Administration: answers that only users with the role `admin` get."""

from parley.gateway.core.commands import CheckAdministrator, ListSlowClients
from parley.gateway.core.errors import Forbidden
from parley.gateway.core.ports import ClientBuffers
from parley.gateway.core.results import SlowClient
from parley.shared.model import Person

ADMIN = "admin"


def require_admin(person: Person, action: str) -> None:
    """Check that a user is an administrator.

    Args:
        person: The user.
        action: The forbidden action for the error, such as `revoke tokens`.

    Raises:
        Forbidden: The user's token has not the role `admin`.
    """
    if person.role != ADMIN:
        raise Forbidden(f"Only an admin may {action}.")


class AdministrationService:
    """Answers an administrator about this node."""

    def __init__(self, client_buffers: ClientBuffers) -> None:
        self._client_buffers = client_buffers

    async def check(self, person: Person, command: CheckAdministrator) -> Person:
        """Return the user. Raises `Forbidden`."""
        require_admin(person, "administer")
        return person

    async def slow_clients(self, person: Person, command: ListSlowClients) -> list[SlowClient]:
        """Return the slow clients of this node, the slowest first. Raises `Forbidden`."""
        require_admin(person, "list clients")
        return self._client_buffers.fullest(command.limit)
