"""`parley doctor` judges what services do by two readings of their metrics."""

import time

from parley.cli.doctor import traffic
from parley.cli.probes import Metrics, Probe

SECONDS = 4.0
OLD = 3600.0


def reading(*samples: str, age: float = OLD, url: str = "http://10.0.0.1:8001") -> Probe:
    lines = ['parley_sockets{transport="websocket"} 1', f"process_start_time_seconds {time.time() - age}"]
    return Probe(url=url, ready=True, metrics=Metrics.parse("\n".join([*lines, *samples, ""])))


def found(before: Probe, after: Probe) -> dict[str, str]:
    return {
        finding.check: f"{finding.level}: {finding.text}"
        for finding in traffic.check([before], [after], SECONDS)
    }


def bucket(bound: str, count: int) -> str:
    return f'parley_accepted_to_delivered_seconds_bucket{{le="{bound}"}} {count}'


def test_a_service_at_rest_has_no_finding() -> None:
    assert found(reading(), reading()) == {}


def test_refusals_since_the_first_reading_are_reported_with_their_rate() -> None:
    before = reading('parley_refusals_total{code="RATE_LIMITED"} 100')
    after = reading('parley_refusals_total{code="RATE_LIMITED"} 108')
    assert found(before, after)["refusals"].startswith("warning: It refuses 2.0 requests/s as RATE_LIMITED: ")


def test_refusals_before_the_first_reading_are_not_reported() -> None:
    same = reading('parley_refusals_total{code="OVERLOADED"} 100')
    assert found(same, same) == {}


def test_a_slow_delivery_is_reported() -> None:
    before = reading(bucket("1.0", 50), bucket("2.5", 50), bucket("+Inf", 50))
    after = reading(bucket("1.0", 59), bucket("2.5", 70), bucket("+Inf", 70))
    assert "takes more than 2.4 s to its readers" in found(before, after)["delivery"]


def test_a_delivery_within_a_second_is_not_reported() -> None:
    before = reading(bucket("1.0", 50), bucket("+Inf", 50))
    after = reading(bucket("1.0", 70), bucket("+Inf", 70))
    assert found(before, after) == {}


def test_counts_that_ought_to_be_zero_are_judged_since_the_start() -> None:
    same = reading('parley_unknown_kinds_total{what="event"} 2', 'parley_errors_total{kind="other"} 1')
    findings = found(same, same)
    assert findings["kinds"].startswith("error: 2 of a kind that only a newer version knows came")
    assert "(1 in the 1:00:00 since it started)" in findings["errors"]


def test_gaps_are_reported_when_they_are_many_an_hour() -> None:
    few, many = reading("parley_gaps_total 8"), reading("parley_gaps_total 12")
    assert found(few, few) == {}
    assert "lost 12 times" in found(many, many)["gaps"]


def test_a_service_that_is_much_younger_than_another_is_reported() -> None:
    young, old = reading(age=20, url="http://10.0.0.2:8001"), reading()
    (finding,) = traffic.check([old, young], [old, young], SECONDS)
    assert (finding.server, finding.check) == ("gateway 10.0.0.2:8001", "started")


def test_services_that_started_together_are_not_reported() -> None:
    assert found(reading(age=20), reading(age=20)) == {}


def test_a_service_that_did_not_answer_is_left_to_the_other_checks() -> None:
    silent = Probe(url="http://10.0.0.1:8001", error="no answer within 3 s")
    assert traffic.check([silent], [reading()], SECONDS) == []
