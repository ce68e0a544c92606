"""How many examples generated tests run: few and always the same, or many and new each time."""

from hypothesis import HealthCheck, settings


def is_long() -> bool:
    """Return whether `--hypothesis-profile=long` was given; known at collection, not at import."""
    return settings.get_current_profile_name() == "long"


def fuzz(examples: int) -> settings:
    """Return settings for this number of examples, or for 50 times as many in the long profile."""
    return settings(
        max_examples=examples * (50 if is_long() else 1),
        derandomize=not is_long(),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
