"""docs/cli.md matches the commands' help."""

from pathlib import Path

from percolator.config.settings import Settings
from percolator_cli.commands import COMMANDS
from percolator_cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    """To update it, run: python -m percolator_cli.reference docs/cli.md."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_the_page_documents_every_command_and_every_setting() -> None:
    """Each setting is documented as a flag."""
    page = PAGE.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"\n## percolator {name}\n" in page
    for name in Settings.model_fields:
        assert f"`--{name.replace('_', '-')} " in page
