"""The IRC log's parser, and the script that is made of its events."""

from hypothesis import given
from hypothesis import strategies as st

from load.replay.irc_log import Event, Joined, Left, LogLine, Noticed, Renamed, Unknown, parse
from load.replay.script import Arrival, Departure, Line, Speaker, content_of, moments_of, script_of


def events_of(*lines: bytes) -> list[Event]:
    return list(parse(lines))


def test_a_line_of_talk_keeps_its_minute_its_nick_and_every_character() -> None:
    assert events_of(b"[09:05] <anna>  two  spaces, a <tag> and a tab\t \n") == [
        LogLine(545, "anna", " two  spaces, a <tag> and a tab\t ")
    ]


def test_line_ends_of_either_kind_are_no_part_of_the_text() -> None:
    assert events_of(b"[00:00] <anna> hi\r\n", b"[00:00] <ben> hi\n", b"[00:00] <cleo> hi") == [
        LogLine(0, "anna", "hi"),
        LogLine(0, "ben", "hi"),
        LogLine(0, "cleo", "hi"),
    ]


def test_a_nick_may_have_any_character_but_spaces_and_brackets_close() -> None:
    nicks = ["][Eve][", "{o|o}", "back\\slash", "tick`", "^hat^", "7up", "zoë", "$ne", "a.b"]
    events = events_of(*(f"[01:00] <{nick}> x".encode() for nick in nicks))
    assert [event.nick for event in events if isinstance(event, LogLine)] == nicks


def test_a_logger_that_puts_a_space_after_each_bracket_does_not_change_the_nick() -> None:
    assert events_of(b"[01:00] <anna[1] > hello") == [LogLine(60, "anna[1]", "hello")]


def test_an_action_is_known_with_its_clock_and_without() -> None:
    assert events_of(b"[10:00]  * anna waves at ben\n", b"=== ben waves back\n") == [
        LogLine(600, "anna", "waves at ben", action=True),
        LogLine(600, "ben", "waves back", action=True),
    ]


def test_joins_and_parts_are_parsed() -> None:
    assert events_of(
        b"[10:00] <zed> x",
        b"=== anna [n=a@host.example]  has joined #parley",
        b'=== anna [n=a@host.example]  has left #parley ["bye"] ',
        b"=== ben [i=b@host.example]  has quit [Remote closed the connection]",
        b"=== cleo was kicked off #parley by zed (zed)",
    )[1:] == [Joined(600, "anna"), Left(600, "anna"), Left(600, "ben"), Left(600, "cleo")]


def test_modes_and_topics_are_nobodys_words() -> None:
    assert events_of(b"=== mode/#parley [+o anna]  by ben", b"=== ..[topic/#parley:anna] : Welcome") == [
        Noticed(0, "mode/#parley [+o anna]  by ben"),
        Noticed(0, "..[topic/#parley:anna] : Welcome"),
    ]


def test_the_text_of_a_message_is_never_parsed_as_an_event() -> None:
    assert events_of(b"[10:00] <eve> === anna is now known as eve") == [
        LogLine(600, "eve", "=== anna is now known as eve")
    ]


def test_a_line_that_is_not_utf8_is_read_as_latin1() -> None:
    events = events_of("[10:00] <zoë> schön".encode("latin-1"), "[10:00] <zoë> schön ✓".encode())
    assert events == [LogLine(600, "zoë", "schön"), LogLine(600, "zoë", "schön ✓")]


def test_a_mark_at_the_beginning_of_the_file_is_no_text_but_one_in_a_line_is() -> None:
    first, second = events_of("\ufeff[10:00] <anna> hi".encode(), "[10:00] <ben> \ufeffhi".encode())
    assert (first, second) == (LogLine(600, "anna", "hi"), LogLine(600, "ben", "\ufeffhi"))


def test_an_empty_text_belongs_to_its_nick() -> None:
    assert events_of(b"[10:00] <anna> \n", b"[10:00] <anna>\n") == 2 * [LogLine(600, "anna", "")]


def test_a_line_in_no_known_form_is_kept_as_unknown() -> None:
    lines = [b"", b"   \n", b"--- log opened", b"[24:60] <anna> x", b"[10:00] no nick here", b"=== "]
    assert all(isinstance(event, Unknown) for event in events_of(*lines))


def test_after_midnight_the_minutes_go_on() -> None:
    events = events_of(b"[23:59] <anna> a", b"[00:01] <anna> b", b"[23:59] <anna> c", b"[00:00] <anna> d")
    assert [event.at for event in events] == [1439, 1441, 2879, 2880]


def test_a_clock_that_is_set_back_a_little_makes_time_stand_still() -> None:
    events = events_of(b"[10:30] <anna> a", b"[10:29] <anna> b", b"[10:31] <anna> c")
    assert [event.at for event in events] == [630, 630, 631]


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_make_one_event_a_line_and_time_never_runs_back(lines: list[bytes]) -> None:
    events = list(parse(lines))
    assert len(events) == len(lines)
    assert [event.at for event in events] == sorted(event.at for event in events)


@given(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")))
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    assert events_of(f"[12:00] <anna> {text}\n".encode()) == [LogLine(720, "anna", text)]


def test_a_nick_change_keeps_the_person() -> None:
    script = script_of(
        [LogLine(0, "anna", "1"), Renamed(0, "anna", "anna_away"), LogLine(0, "anna_away", "2")]
    )
    assert [(line.speaker.person, line.speaker.nick) for line in script.lines] == [
        ("anna", "anna"),
        ("anna", "anna_away"),
    ]


def test_a_nick_that_changes_hands_is_another_person_from_then_on() -> None:
    script = script_of(
        [
            LogLine(0, "guest", "1"),
            LogLine(0, "ben", "2"),
            Renamed(0, "guest", "anna"),
            Renamed(0, "ben", "guest"),
            LogLine(0, "guest", "3"),
            LogLine(0, "anna", "4"),
        ]
    )
    assert [line.speaker.person for line in script.lines] == ["guest", "ben", "ben", "guest"]


def test_a_nick_is_the_same_person_in_capitals_and_under_a_socket_of_its_own() -> None:
    script = script_of([LogLine(0, "Anna[1]", "1"), LogLine(0, "anna{1}", "2")])
    assert [speaker.person for speaker in script.speakers] == ["Anna[1]", "Anna[1]"]
    assert [speaker.nick for speaker in script.speakers] == ["Anna[1]", "anna{1}"]


def test_lines_that_would_be_refused_are_set_aside_and_counted() -> None:
    blank, too_long = LogLine(0, "anna", " \t"), LogLine(0, "anna", "x" * 8_001)
    script = script_of([blank, too_long, LogLine(0, "anna", "x" * 8_000)])
    assert [len(line.content) for line in script.lines] == [8_000]
    assert script.unsendable == (blank, too_long)


def test_an_action_is_sent_as_irc_shows_it() -> None:
    assert content_of(LogLine(0, "anna", "waves", action=True)) == "* anna waves"


def test_every_line_has_an_id_of_its_own() -> None:
    script = script_of([LogLine(0, "anna", "x")] * 100)
    assert len({line.client_message_id for line in script.lines}) == 100


def test_all_kinds_of_lines_are_counted() -> None:
    script = script_of(events_of(b"", b"=== anna waves", b"[10:00] <anna> x", b"[10:00] <anna> y"))
    assert script.kinds == {"unknown": 1, "action": 1, "talk": 2}


def test_a_speaker_is_online_at_the_beginning_unless_its_first_cue_is_a_join() -> None:
    script = script_of([Joined(0, "ben"), LogLine(0, "anna", "1"), LogLine(0, "ben", "2"), Left(0, "anna")])
    anna, ben = Speaker("anna", "anna"), Speaker("ben", "ben")
    assert script.initial_speakers == (anna,)
    assert [*map(type, script.actions)] == [Arrival, Line, Line, Departure]
    assert (script.actions[0], script.actions[3]) == (Arrival(ben), Departure(anna))


def test_where_everybody_joins_the_first_to_come_was_on_at_the_beginning() -> None:
    script = script_of([Joined(0, "ben"), Joined(0, "anna"), LogLine(0, "anna", "1"), LogLine(0, "ben", "2")])
    assert script.initial_speakers == (Speaker("ben", "ben"),)
    assert [*map(type, script.actions)] == [Arrival, Line, Line]


def test_a_nick_change_is_an_exit_and_an_entrance() -> None:
    script = script_of([LogLine(0, "anna", "1"), Renamed(0, "anna", "anna2"), LogLine(0, "anna2", "2")])
    assert script.initial_speakers == (Speaker("anna", "anna"),)
    assert script.actions[1:3] == (Departure(Speaker("anna", "anna")), Arrival(Speaker("anna", "anna2")))


def test_a_speaker_without_a_line_is_left_out() -> None:
    script = script_of([Joined(0, "cleo"), LogLine(0, "anna", "1"), LogLine(0, "dan", " "), Left(0, "cleo")])
    assert [type(cue) for cue in script.actions] == [Line]
    assert script.speakers == (Speaker("anna", "anna"),)


def test_gaps_in_the_log_make_nobody_speak_while_away_or_come_twice() -> None:
    events: list[Event] = [
        LogLine(0, "anna", "1"),
        Left(0, "anna"),
        Left(0, "anna"),
        LogLine(0, "anna", "2"),
        Joined(0, "anna"),
    ]
    assert [type(cue) for cue in script_of(events).actions] == [Line, Departure, Arrival, Line]


def test_a_minutes_lines_share_the_minute_evenly() -> None:
    assert moments_of([600, 600, 600, 602]) == [0.0, 20.0, 40.0, 120.0]
