"""What the tests of the hub share."""

import pytest

from tests.unit.fanout.hall import Hall


@pytest.fixture
def hall() -> Hall:
    """A hub without limits."""
    return Hall()
