"""Files that repeat what the table of kinds says agree with it."""

import pytest

from tests.docs.derived import derived
from tests.docs.pages import ROOT

DERIVED = derived()


@pytest.mark.parametrize("name", DERIVED)
def test_a_file_says_of_the_kinds_what_the_table_says(name: str) -> None:
    """Write them again with `make derived`."""
    assert (ROOT / name).read_text() == DERIVED[name]
