import asyncio, random, signal
from clients.chatter import Chatter
from clients.chat import eventually
from clients.ledger import assert_whole
from clients.returning import Returning
SENDERS=[f"s{n}" for n in range(10)]
import pytest
@pytest.mark.parametrize("n", range(8))
async def test_storm(n, fragile, town, crowd, database, shares, dead_letters):
    groups = await crowd.groups_everywhere(*SENDERS, "idler")
    voices = [await crowd.add(Returning(town.user(n), town.url)) for n in SENDERS]
    await asyncio.gather(*(v.join_all(groups) for v in voices))
    async with Chatter(voices, groups) as chatter:
        for turn in range(14):
            await chatter.goes_on(100, 30)
            name = random.choice(["worker-1","worker-2","redis","gateway-1","gateway-2","redis","rabbitmq","mongodb"] if turn%3==0 else ["worker-1","worker-2","redis","gateway-1","gateway-2"])
            print(name, end=" ", flush=True)
            def runs(): return any(p.name==name and p.pid for p in fragile.status())
            await eventually(runs, 30)
            fragile.signal(name, signal.SIGKILL)
            await asyncio.sleep(random.random()*1.0)
        await chatter.goes_on(100, 40)
    print(len(chatter.accepted))
    for g in groups:
        msgs = await assert_whole(database, town, g, voices=voices, listeners=[], deadline=30)
        stored={m["seq"]:m["content"] for m in msgs}
        try:
            await eventually(lambda: all(len(v.held[g])>=len(stored) for v in voices), 25)
        except AssertionError: pass
        for v in voices:
            if v.held[g]!=stored: print("HELD", g, v.user_id, "missing", sorted(stored.keys()-v.held[g].keys())[:20], "extra", [k for k in v.held[g] if v.held[g][k]!=stored.get(k)][:5], v._revs[g], len(stored), v.absences)
        assert all(v.held[g]==stored for v in voices)
    assert await dead_letters.take() == []
