"""Hypothesis profiles: seconds long and deterministic, or long and new each time."""

from hypothesis import HealthCheck, settings

ANY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], print_blob=True
)

settings.register_profile(
    "short", ANY, max_examples=200, stateful_step_count=60, derandomize=True, database=None
)
settings.register_profile("long", ANY, max_examples=20_000, stateful_step_count=80)
