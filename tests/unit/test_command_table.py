"""The command table has a row for every command, and every row's handler exists."""

import inspect
from dataclasses import fields
from datetime import timedelta
from typing import Any, get_args

import pytest

from fakes.memory_revocations import MemoryRevocations, RecordingEventPublisher
from parley.gateway.core.commands import Command, JoinRoom, Ping, SendMessage
from parley.gateway.services.command_table import (
    COMMANDS,
    NEEDS_SESSION,
    check_complete,
    check_session_handlers,
)
from parley.gateway.services.composition import Ports, Services, build_services
from parley.gateway.services.revocations import RevocationService
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache


def services() -> Services:
    """Services without ports: enough to look their methods up."""
    nothing: Any = None
    no_ports: dict[str, Any] = {field.name: None for field in fields(Ports)}
    revocations = RevocationService(MemoryRevocations(), RecordingEventPublisher(), timedelta(days=1))
    return build_services(
        Ports(**no_ports), MembershipCache(), LoadMonitor(lambda: 0.0), revocations, nothing
    )


def test_the_table_has_a_row_for_every_command() -> None:
    assert set(COMMANDS) == set(get_args(Command))


@pytest.mark.parametrize("command", [c for c, spec in COMMANDS.items() if spec.handler is not NEEDS_SESSION])
def test_the_handler_of_every_row_is_a_method_that_takes_its_command(command: type) -> None:
    find = COMMANDS[command].handler
    assert find is not None
    takes = list(inspect.signature(find(services())).parameters.values())
    assert [parameter.annotation for parameter in takes][1] is command


def test_a_forgotten_row_is_reported_by_name() -> None:
    table = {command: spec for command, spec in COMMANDS.items() if command is not SendMessage}
    with pytest.raises(LookupError, match=r"the command table: missing \['SendMessage'\], unknown \[\]"):
        check_complete(table)


def test_a_row_for_something_that_is_no_command_is_reported_by_name() -> None:
    with pytest.raises(LookupError, match=r"missing \[\], unknown \['str'\]"):
        check_complete({**COMMANDS, str: COMMANDS[Ping]})


def test_a_session_without_a_handler_for_a_command_that_needs_one_is_reported_by_name() -> None:
    needs_session = {command for command, spec in COMMANDS.items() if spec.handler is NEEDS_SESSION}
    check_session_handlers(needs_session)
    with pytest.raises(LookupError, match=r"the session's handlers: missing \['JoinRoom'\]"):
        check_session_handlers(needs_session - {JoinRoom})
