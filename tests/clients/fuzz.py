"""How much is tried when inputs are generated: some and always the same, or many and ever new."""

from hypothesis import HealthCheck, settings


def is_long() -> bool:
    """Whether it is said `--hypothesis-profile=long`; known when tests are collected, not before."""
    return settings.get_current_profile_name() == "long"


def fuzz(examples: int) -> settings:
    """So many examples, or many more."""
    return settings(
        max_examples=examples * (50 if is_long() else 1),
        derandomize=not is_long(),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
