"""The replay's proof finds every kind of difference."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from load import figures
from load.arguments import NOT_BEGUN
from load.environment import MissingSetting, read_environment
from load.progress import Progress
from load.replay import proof
from load.replay.__main__ import main
from load.replay.proof import Count, Finding, LogMessage, SocketRecording, Stored
from load.replay.recording import Confirmation, DeliveryLog, ReceivedMessage, Recorder

LINES = [LogMessage(user, user.upper(), f"line {n}", f"c{n}") for n, user in enumerate("abab", start=1)]
STORED = [
    Stored(n, f"m{n}", line.user_id, line.content, line.client_message_id)
    for n, line in enumerate(LINES, start=1)
]
RECEIVED = {message.seq: ReceivedMessage(message.id, message.user_id, message.content) for message in STORED}
SENT = [Confirmation(line.client_message_id, m.id, m.seq) for line, m in zip(LINES, STORED, strict=True)]


def swapped(stored: list[Stored], one: int, other: int) -> list[Stored]:
    """The same messages, two of them under each other's number."""
    found = list(stored)
    found[one], found[other] = (
        replace(stored[other], seq=stored[one].seq),
        replace(stored[one], seq=stored[other].seq),
    )
    return found


def test_a_conversation_that_is_the_log_is_proved() -> None:
    assert proof.log_is_stored(LINES, STORED, "it").holds
    assert proof.numbers_have_no_holes(STORED).holds
    assert proof.senders_keep_their_order(LINES, STORED).holds


@pytest.mark.parametrize(
    "stored",
    [
        [],
        STORED[:-1],
        [*STORED, Stored(5, "m5", "a", "line 5")],
        [*STORED[:2], STORED[1], *STORED[2:]],
        swapped(STORED, 0, 1),
        [replace(STORED[0], content="line 1 "), *STORED[1:]],
        [replace(STORED[0], user_id="b"), *STORED[1:]],
    ],
    ids=["nothing", "one lost", "one too many", "one doubled", "two swapped", "a space", "another's"],
)
def test_a_conversation_that_is_not_the_log_differs(stored: list[Stored]) -> None:
    assert not proof.log_is_stored(LINES, stored, "it").holds


@pytest.mark.parametrize("numbers", [[1, 2, 4, 5], [0, 1, 2, 3], [1, 2, 2, 3], [2, 3, 4, 5]])
def test_a_hole_in_the_numbers_differs(numbers: list[int]) -> None:
    stored = [replace(message, seq=number) for message, number in zip(STORED, numbers, strict=True)]
    assert not proof.numbers_have_no_holes(stored).holds


def test_two_lines_of_one_sender_that_changed_places_differ() -> None:
    assert not proof.senders_keep_their_order(LINES, swapped(STORED, 0, 2)).holds
    assert proof.senders_keep_their_order(LINES, swapped(STORED, 0, 1)).holds


def recording(
    user: str,
    numbers: Sequence[int],
    confirmations: Sequence[Confirmation] = (),
    first: int = 1,
    last: int = 4,
) -> SocketRecording:
    return SocketRecording(user[0], user.upper(), first, last, numbers, confirmations)


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ([1, 2, 4], "missed 3"),
        ([1, 2, 2, 3, 4], "received twice 2"),
        ([2, 1, 3, 4], "in another order"),
        ([1, 2, 3, 4, 5], "received unknown numbers 5"),
        ([], "missed 1, 2, 3, 4"),
        ([2, 3, 4], "missed 1"),
    ],
)
def test_a_socket_with_wrong_numbers_differs(numbers: list[int], word: str) -> None:
    finding = proof.every_socket_received_all([recording("a", [1, 2, 3, 4]), recording("b", numbers)])
    assert len(finding.differences) == 1
    assert word in finding.differences[0]


def test_a_socket_receives_the_messages_of_its_stay() -> None:
    assert proof.every_socket_received_all(
        [recording("a", [3], first=3, last=3), recording("b", [], first=3, last=2)]
    ).holds
    assert not proof.every_socket_received_all([recording("a", [4], first=3, last=4)]).holds
    assert not proof.every_socket_received_all([recording("a", [2, 3], first=2, last=4)]).holds


def test_a_socket_begins_at_the_number_in_its_join_acknowledgement() -> None:
    assert proof.every_socket_received_all([recording("a", [3, 4], first=3)]).holds
    assert not proof.every_socket_received_all([recording("a", [2, 3, 4], first=3)]).holds
    assert not proof.every_socket_received_all([recording("a", [4], first=3)]).holds


def test_received_messages_must_equal_the_stored_ones() -> None:
    assert proof.deliveries_match_storage(RECEIVED, STORED, []).holds
    assert not proof.deliveries_match_storage(RECEIVED, STORED[:-1], []).holds
    assert not proof.deliveries_match_storage(
        {**RECEIVED, 2: ReceivedMessage("m2", "b", "other words")}, STORED, []
    ).holds
    assert not proof.deliveries_match_storage(RECEIVED, STORED, ["number 2 is two things"]).holds


def recordings_of(confirmations: list[Confirmation]) -> list[SocketRecording]:
    """The first sender's socket with these confirmations, the second's with those that it is due."""
    return [recording("a", [], confirmations), recording("b", [], SENT[1::2])]


@pytest.mark.parametrize(
    "confirmations",
    [
        SENT[:1],
        [SENT[0], SENT[0], SENT[2]],
        [replace(SENT[0], seq=2), SENT[2]],
        [replace(SENT[0], message_id="m2"), SENT[2]],
        [SENT[0], SENT[1], SENT[2]],
        [SENT[0], SENT[2], Confirmation("x", "y", 9)],
    ],
    ids=["one lost", "one twice", "another number", "another id", "another user's", "nobody's"],
)
def test_each_line_is_confirmed_to_its_sender_once(confirmations: list[Confirmation]) -> None:
    assert proof.every_send_is_confirmed(LINES, STORED, recordings_of(SENT[::2]), {}).holds
    assert not proof.every_send_is_confirmed(LINES, STORED, recordings_of(confirmations), {}).holds


def test_another_socket_of_the_user_may_receive_the_confirmation_too_but_not_instead() -> None:
    assert proof.every_send_is_confirmed(
        LINES, STORED, [*recordings_of(SENT[::2]), recording("a_away", [], SENT[::2])], {}
    ).holds
    instead = [*recordings_of(SENT[:1]), recording("a_away", [], SENT[::2])]
    assert not proof.every_send_is_confirmed(LINES, STORED, instead, {}).holds


def test_a_returning_speaker_may_receive_confirmations_on_either_socket() -> None:
    attendance = [recording("a", [], SENT[:1]), recording("a", [], SENT[2:3]), recording("b", [], SENT[1::2])]
    assert proof.every_send_is_confirmed(LINES, STORED, attendance, {}).holds


def test_a_line_sent_again_may_be_confirmed_again() -> None:
    twice = recordings_of([SENT[0], SENT[0], SENT[2]])
    assert proof.every_send_is_confirmed(LINES, STORED, twice, {"c1": 1}).holds
    assert not proof.every_send_is_confirmed(LINES, STORED, twice, {"c3": 1}).holds
    thrice = recordings_of([SENT[0], SENT[0], SENT[0], SENT[2]])
    assert not proof.every_send_is_confirmed(LINES, STORED, thrice, {"c1": 1}).holds


def test_a_line_that_was_neither_stored_nor_confirmed_differs() -> None:
    assert not proof.every_send_is_confirmed(LINES[:3], STORED[:2], recordings_of(SENT[:1]), {}).holds


@pytest.mark.parametrize("counts", [(4, 3, 3, 3), (3, 4, 3, 3), (3, 3, 4, 3), (3, 3, 3, 4), (3, 3, None, 3)])
def test_a_count_that_differs_in_one_of_its_four_ways_differs(
    counts: tuple[int, int, int | None, int | None],
) -> None:
    right = Count("a", 3, 3, 3, 3)
    assert proof.counts_agree([right]).holds
    assert not proof.counts_agree([right, Count("b", *counts)]).holds


def test_unread_are_the_messages_of_others_above_the_mark() -> None:
    senders = [message.user_id for message in STORED]
    assert proof.unread("a", 0, senders) == 2
    assert proof.unread("a", 2, senders) == 1
    assert proof.unread("a", 4, senders) == 0
    assert proof.unread("nobody", 0, senders) == 4


def test_a_finding_names_some_of_many_differences_and_counts_the_others() -> None:
    text = str(Finding("all is well", tuple(f"difference {n}" for n in range(100))))
    assert "DIFFERS" in text
    assert "difference 4" in text
    assert "difference 5" not in text
    assert "and 95 more" in text


def test_a_recorder_keeps_events_in_order() -> None:
    recorder = Recorder(log := DeliveryLog(sent_at=[0.0, 0.0]))
    recorder.unconfirmed = {"c1", "c2"}
    for seq in (2, 1):
        message = {"_id": f"m{seq}", "seq": seq, "sender": {"_id": "a"}, "content": "hi"}
        recorder.on_event("newMessage", {"message": message, "conversationId": "k"})
    recorder.on_event("messageSent", {"clientMessageId": "c1", "messageId": "m1", "seq": 1})
    recorder.on_event("userTyping", {})
    assert recorder.numbers == [2, 1]
    assert recorder.confirmations == [Confirmation("c1", "m1", 1)]
    assert recorder.unconfirmed == {"c2"}
    assert (log.count, log.confirmed, log.other_events) == (2, {"c1"}, {"userTyping": 1})
    assert len(log.delivery_delays) == 2


def test_different_messages_under_one_number_are_a_contradiction() -> None:
    log = DeliveryLog()
    log.record(1, ReceivedMessage("m1", "a", "yes"))
    log.record(1, ReceivedMessage("m1", "a", "yes"))
    assert log.contradictions == []
    log.record(1, ReceivedMessage("m1", "a", "no"))
    assert len(log.contradictions) == 1


def test_percentiles_are_values_that_were_measured() -> None:
    delays = [n / 1000 for n in range(100, 0, -1)]
    assert figures.percentile(delays, 0.5) == 0.05
    assert figures.percentile(delays, 0.99) == 0.099
    assert figures.percentile([7.0], 0.99) == 7.0
    assert figures.percentile([], 0.5) == 0.0


def test_rates_are_shown_as_text() -> None:
    text = figures.rates(1_000, 50_000, 2.0)
    assert "500 messages/s" in text
    assert "25,000 deliveries/s" in text


def test_progress_without_a_terminal_prints_few_lines_and_the_end() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    for done in range(1, 1_001):
        progress.show("lines said", done, 1_000)
    lines = stream.getvalue().splitlines()
    assert len(lines) < 10
    assert lines[-1] == "lines said: 1,000 of 1,000"


def test_the_environment_goes_before_the_file_and_an_empty_value_counts_as_none(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text('# a comment\nJWT_SECRET="from the file"\nMONGO_URL=\n')
    assert read_environment({}, dotenv).jwt_secret == "from the file"
    assert read_environment({"JWT_SECRET": "from outside"}, dotenv).jwt_secret == "from outside"
    assert read_environment({"JWT_SECRET": ""}, dotenv).jwt_secret == "from the file"
    assert read_environment({}, dotenv).mongo_url.startswith("mongodb://127.0.0.1")
    assert read_environment({}, dotenv, "mongodb://elsewhere/db").mongo_url == "mongodb://elsewhere/db"


def test_without_a_secret_nobody_can_be_given_a_token(tmp_path: Path) -> None:
    with pytest.raises(MissingSetting, match="JWT_SECRET"):
        read_environment({}, tmp_path / ".env")


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "inf", ""])
def test_a_speed_that_is_none_is_one_sentence(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["some.log", "--speed", speed])
    assert stopped.value.code == NOT_BEGUN
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "content", [None, b"", b"=== anna [n=a@b]  has joined #parley\n", b"[10:00] <anna> \n"]
)
def test_a_log_without_a_line_is_one_sentence(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "channel.log"
    if content is not None:
        log.write_bytes(content)
    assert main([str(log)]) == NOT_BEGUN
    assert len(capsys.readouterr().err.splitlines()) == 1
