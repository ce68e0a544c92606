"""A reload applies what may change, names what may not, and keeps everything when a value is wrong."""

from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from parley.shared.reloading import ReloadRefused, Reloads
from parley.shared.settings import SettingsError, SharedSettings

FIRST = SharedSettings(log_level="info", partitions=8, mongo_url="mongodb://a:secret@host/parley")


@dataclass
class Source:
    """The settings that are read next, or the error."""

    settings: SharedSettings = FIRST
    error: SettingsError | None = None

    def read(self) -> SharedSettings:
        if self.error is not None:
            raise self.error
        return self.settings


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def applied() -> list[str]:
    return []


@pytest.fixture
def reloads(source: Source, applied: list[str]) -> Reloads[SharedSettings]:
    async def apply(settings: SharedSettings) -> None:
        if settings.log_level == "error":
            raise ReloadRefused("Not that one.")
        applied.append(settings.log_level)

    reloads = Reloads(FIRST, source.read)
    reloads.on_reload({"log_level"}, apply)
    return reloads


async def test_a_changed_setting_is_applied_and_named(
    source: Source, reloads: Reloads[SharedSettings], applied: list[str]
) -> None:
    source.settings = replace(FIRST, log_level="debug")
    with capture_logs() as logs:
        await reloads.reload()
        await reloads.reload()
    assert applied == ["debug", "debug"]
    assert [each["changed"] for each in logs] == [["LOG_LEVEL"], []]


async def test_a_setting_that_needs_a_restart_is_named_without_its_value(
    source: Source, reloads: Reloads[SharedSettings]
) -> None:
    source.settings = replace(FIRST, mongo_url="mongodb://b:other@host/parley", partitions=9)
    with capture_logs() as logs:
        await reloads.reload()
    assert [each["event"] for each in logs] == ["shared.settings.reloaded", "shared.settings.restart_needed"]
    assert logs[1]["settings"] == ["MONGO_URL", "PARTITIONS"]
    assert "other" not in str(logs)


async def test_a_wrong_setting_keeps_all_of_them(
    source: Source, reloads: Reloads[SharedSettings], applied: list[str]
) -> None:
    source.error = SettingsError("PARTITIONS must be a whole number, not 'many'")
    with capture_logs() as logs:
        await reloads.reload()
    assert applied == []
    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("shared.settings.reload_refused", "error")
    ]


async def test_a_refused_setting_is_still_changed_at_the_next_reload(
    source: Source, reloads: Reloads[SharedSettings], applied: list[str]
) -> None:
    source.settings = replace(FIRST, log_level="error")
    with capture_logs() as logs:
        await reloads.reload()
    assert [each["event"] for each in logs] == ["shared.settings.reload_refused", "shared.settings.reloaded"]
    assert (logs[0]["reason"], logs[1]["changed"]) == ("Not that one.", [])
    source.settings = replace(FIRST, log_level="warning")
    with capture_logs() as logs:
        await reloads.reload()
    assert (applied, logs[0]["changed"]) == (["warning"], ["LOG_LEVEL"])
