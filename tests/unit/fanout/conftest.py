"""Fixtures for the tests of the hub."""

import pytest

from tests.unit.fanout.harness import HubHarness


@pytest.fixture
def harness() -> HubHarness:
    """A hub without limits."""
    return HubHarness()
