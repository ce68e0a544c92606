"""Prints dead letters: a line for each, or all of one."""

from typing import Any

from parley.cli.dead_letters.letter import Letter
from parley.cli.output import print_json, print_line

SUMMARY = "{position:>6}  {id}  {at}  {partition:>4}  {kind:10}  {conversationId}  {userId}  {reason}"


def print_json_row(letter: Letter) -> None:
    """Print the summary of a letter as JSON."""
    print_json(letter.summary())


def print_row(letter: Letter) -> None:
    """Print a line for a letter."""
    summary = letter.summary()
    texts = {name: "-" if value is None else str(value) for name, value in summary.items()}
    at = letter.at.strftime("%Y-%m-%d %H:%M:%S") if letter.at else f"{'-':19}"
    print_line(SUMMARY.format(**{**texts, "at": at}))


def print_details(details: dict[str, Any]) -> None:
    """Print a letter with its records."""
    for name, value in details.items():
        if name != "records":
            print_line(f"{name}: {value}")
    for record in details["records"]:
        print_line("record:")
        for name, value in record.items():
            print_line(f"  {name}: {value}")
