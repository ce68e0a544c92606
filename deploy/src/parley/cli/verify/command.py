"""`parley verify`."""

import asyncio
from collections import Counter
from typing import Annotated, Any

import typer

from parley.cli import environment
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.cli.output import Json, print_json, print_line, progress
from parley.cli.verify.inconsistency import Inconsistency
from parley.cli.verify.run import Verification
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MESSAGES

Repair = Annotated[bool, typer.Option("--repair", help="Repair what can be repaired safely.")]
Conversation = Annotated[str | None, typer.Option(help="Only this conversation.")]


def verify(
    context: typer.Context, conversation: Conversation = None, repair: Repair = False, as_json: Json = False
) -> None:
    """Recount numbers, heads, unread counters and attachments; exits with 1 if something is wrong.

    The services may run meanwhile. A repaired inconsistency counts as right. With --json one object a line,
    the last one with the totals.
    """
    settings = environment.of(context).settings
    wrong = asyncio.run(_verify(settings.mongo_url, conversation, repair=repair, as_json=as_json))
    raise typer.Exit(1 if wrong else 0)


async def _verify(url: str, conversation: str | None, *, repair: bool, as_json: bool) -> int:
    counts: Counter[str] = Counter()
    with named("MongoDB", "MONGO_URL"):
        async with mongo.connect(url) as database:
            with progress() as bar:
                task = bar.add_task("verifying", total=await _total(database, conversation))
                verification = Verification(database, lambda n: bar.advance(task, n), conversation)
                async for found in verification.run():
                    repaired = repair and found.repair is not None and await found.repair(database)
                    counts["repaired" if repaired else "wrong"] += 1
                    _show(found, repaired=repaired, as_json=as_json)
    _show_totals(verification, counts, as_json=as_json)
    return counts["wrong"]


async def _total(database: Any, conversation: str | None) -> int:
    if conversation is None:
        return int(await database[MESSAGES].estimated_document_count())
    head = await database[CONVERSATIONS].find_one({"_id": conversation}, {"lastSeq": 1})
    if head is None:
        raise CommandError(f"There is no conversation {conversation}.")
    return int(head["lastSeq"])


def _show(found: Inconsistency, *, repaired: bool, as_json: bool) -> None:
    if as_json:
        print_json({**found.to_json(), "repaired": repaired})
    else:
        print_line(f"{'repaired: ' if repaired else ''}{found.text}")


def _show_totals(verification: Verification, counts: Counter[str], *, as_json: bool) -> None:
    totals = verification.totals
    if as_json:
        outcome = {"wrong": counts["wrong"], "repaired": counts["repaired"]}
        print_json({"ok": not counts["wrong"], **vars(totals), **outcome})
        return
    print_line(
        f"{totals.messages:,} messages of {totals.conversations:,} conversations and {totals.references:,} "
        f"references to uploads recounted: {counts['wrong']} wrong, {counts['repaired']} repaired."
    )
