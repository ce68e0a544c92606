"""The operators' command without servers: how settings are layered, metrics read, numbers recounted."""

from pathlib import Path
from typing import Any

import pytest

from parley.cli import environment
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.masking import masked
from parley.cli.probes import Metrics
from parley.cli.verify.conversation import Counted, Recount

METRICS = """\
# HELP parley_sockets Connected sockets.
# TYPE parley_sockets gauge
parley_sockets{transport="websocket"} 3.0
parley_sockets{transport="polling"} 1.0
# HELP parley_build_info The version.
# TYPE parley_build_info gauge
parley_build_info{version="0.4.0"} 1.0
"""


def test_a_later_layer_wins_and_empty_values_count_as_not_set() -> None:
    layers = [{"A": "1", "B": "1"}, {"A": "2", "B": ""}, {"C": " "}]
    assert environment._layered(*layers) == {"A": "2", "B": "1"}


def test_a_file_replaces_the_value_of_an_earlier_layer_and_the_other_way_round() -> None:
    assert environment._layered({"URL": "1"}, {"URL_FILE": "f"}) == {"URL_FILE": "f"}
    assert environment._layered({"URL_FILE": "f"}, {"URL": "1"}) == {"URL": "1"}


def test_a_setting_of_one_service_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("abc\n")
    env = Environment(variables={"JWT_SECRET_FILE": str(tmp_path / "secret")}, gateways=(), workers=())
    assert (env.setting("JWT_SECRET"), env.setting("JWT_ISSUER")) == ("abc", "")


def test_each_address_of_a_name_is_one() -> None:
    assert environment._addresses("127.0.0.1:8001, [::1]:9001") == (
        "http://127.0.0.1:8001",
        "http://[::1]:9001",
    )
    assert environment._addresses("no-such-host.invalid:8001") == ()
    with pytest.raises(CommandError, match="is no address: write host:port"):
        environment._addresses("127.0.0.1:many")


def test_metrics_are_read_by_name_and_labels() -> None:
    metrics = Metrics.parse(METRICS)
    assert metrics.value("parley_sockets") == 4.0
    assert metrics.value("parley_sockets", transport="polling") == 1.0
    assert metrics.value("parley_other") is None
    assert metrics.label("parley_build_info", "version") == "0.4.0"
    assert metrics.by("parley_sockets", "transport") == {"websocket": 3.0, "polling": 1.0}


def test_contents_are_hidden_at_any_depth() -> None:
    event = {
        "conversation": {"title": "secret", "lastMessage": {"content": "secret", "seq": 1}},
        "args": ["s"],
    }
    hidden = masked(event)
    assert "secret" not in str(hidden)
    assert hidden["conversation"]["lastMessage"]["seq"] == 1


def recounted(*seqs: int, last_seq: int, rev: int | None = None, own: int = 0) -> list[tuple[str, str]]:
    """Return the kinds and texts of the findings on a conversation whose messages Ann has sent."""
    member: dict[str, Any] = {
        "_id": "c:ann", "userId": "ann", "readSeq": 0, "joinSeq": 0, "ownSeq": last_seq, "ownSinceRead": own,
    }  # fmt: skip
    head = {"_id": "c", "lastSeq": last_seq, "rev": last_seq if rev is None else rev}
    counted = Recount(head, {"ann": Counted(member)})
    for seq in seqs:
        counted.add({"seq": seq, "rev": seq, "senderId": "ann"})
    counted.end()
    counted.head_is_behind = counted.is_past(head)
    return [(found.kind, found.text) for found in counted.inconsistencies()]


def test_numbers_from_one_to_the_head_are_in_order() -> None:
    assert recounted(1, 2, 3, last_seq=3, own=3) == []
    assert recounted(last_seq=0) == []


@pytest.mark.parametrize(
    ("seqs", "last_seq", "missing"),
    [((2, 3), 3, "1 message(s), numbers 1:"), ((1, 4), 5, "3 message(s), numbers 2 to 3, 5:")],
)
def test_each_missing_number_is_named(seqs: tuple[int, ...], last_seq: int, missing: str) -> None:
    (found,) = recounted(*seqs, last_seq=last_seq, own=len(seqs))
    assert found[0] == "hole"
    assert missing in found[1]


def test_a_number_that_stands_twice_is_named() -> None:
    assert [kind for kind, _ in recounted(1, 2, 2, last_seq=2, own=3)] == ["double"]


def test_the_counters_of_a_head_that_is_behind_are_those_of_all_messages() -> None:
    kinds = [kind for kind, _ in recounted(1, 2, 3, last_seq=2, own=2)]
    assert kinds == ["head", "counter"]
