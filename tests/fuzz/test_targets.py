"""Every fuzz target, for a few seconds: the same examples each time.

For a longer run with new examples: python -m tests.fuzz TARGET --seconds 3600
"""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS

EXAMPLES = 150


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str) -> None:
    """Every input is answered; afterwards nothing is held and all counters agree."""
    target = TARGETS[name]
    for example in target.found:
        target.check(example)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def run(example: object) -> None:
        target.check(example)

    run()
