"""How hypothesis runs here: the same examples each time, without deadlines for slow machines.

`pytest --hypothesis-profile=long tests/unit` generates new examples, a hundred times as many.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit",
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", settings.get_profile("unit"), derandomize=False, max_examples=10_000, print_blob=True
)
settings.load_profile("unit")
