"""`parley doctor` judges gateways and workers by their answers."""

import time

from parley.cli.doctor import services
from parley.cli.probes import Probe

URL = "http://10.0.0.1:8001"


def test_workers_without_a_partition_are_reported() -> None:
    workers = [Probe(url=URL, ready=True) for _ in range(3)]
    findings = {n: [f.text for f in services.check([], workers, n) if f.check == "workers"] for n in (2, 3)}
    text = "3 workers share 2 partitions, so some have no work: run make partitions N=3."
    assert findings == {2: [text], 3: []}


def clock(probe: Probe) -> str:
    found = [finding for finding in services.check([probe], [], 0) if finding.check == "clock"]
    assert len(found) == 1
    return found[0].level


def test_a_clock_is_compared_with_the_time_at_which_it_came() -> None:
    # Another service's answer may be waited for meanwhile.
    earlier = time.time() - 60
    assert clock(Probe(url=URL, ready=True, date=earlier, received_at=earlier)) == "ok"


def test_a_clock_that_is_behind_is_reported() -> None:
    now = time.time()
    assert clock(Probe(url=URL, ready=True, date=now - 60, received_at=now)) == "warning"
