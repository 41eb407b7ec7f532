"""How hypothesis runs here: the same examples each time, without deadlines for slow machines.

`pytest --hypothesis-profile=long tests/unit` generates new examples, a hundred times as many.
"""

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from percolator import logs

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
# That an example fails is enough for tests.mutants: it need not be the smallest one.
settings.register_profile(
    "mutants", settings.get_profile("unit"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("unit")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the lines go. Afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in logs.CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)
