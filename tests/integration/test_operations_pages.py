"""The operations pages match the code: every setting, every metric, every alert."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.config.types import rule_of
from tests.gateway import Gateway
from tests.integration.test_metrics import scrape

TESTS = Path(__file__).parents[1]
PAGES = TESTS.parent / "docs" / "operations"
ROW = re.compile(r"^\| `([a-z_]+)` \| (.*?) \| (.*) \| (.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str, str]]:
    """Return the rows of the settings page by name: default, allowed values, meaning."""
    rows = ROW.findall((PAGES / "settings.md").read_text())
    return {name: (default, rule, text) for name, default, rule, text in rows}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_as_the_code_has_it(
    name: str, documented: dict[str, tuple[str, str, str]]
) -> None:
    """Its default, allowed values and meaning, in the words of the code."""
    default, rule, text = documented[name]
    if name == "data_dir":
        assert default == "in your data folder"
    else:
        assert default == written(getattr(Settings(), name))
    assert rule == rule_of(Settings.model_fields[name])
    assert text == Settings.model_fields[name].description


def written(default: object) -> str:
    """Return a default as the page writes it."""
    match default:
        case None | ():
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case float():
            return f"`{default:g}`"
        case _:
            return f"`{default}`"


def test_every_documented_setting_exists(
    documented: dict[str, tuple[str, str, str]],
) -> None:
    """In the table and in the example."""
    assert documented.keys() == Settings.model_fields.keys()
    example = re.search(r"```toml\n(.*?)```", (PAGES / "settings.md").read_text(), re.DOTALL)
    assert example
    values = tomllib.loads(example[1])
    for name in [name for name, value in values.items() if str(value).startswith("/etc/")]:
        values[name] = str(PAGES / "settings.md")  # a file that exists
    load(values)


async def test_every_metric_is_documented(gateway: Gateway) -> None:
    """And no other."""
    await gateway.client("price:SOL")
    page = (PAGES / "metrics.md").read_text()
    named = set(re.findall(r"^\| `(percolator_\w+)`", page, re.MULTILINE))
    _, _, body = await gateway.get("/metrics")
    help_lines = re.findall(r"^# TYPE (percolator_\w+) (\w+)$", body.decode(), re.MULTILINE)
    assert named == {name for name, _ in help_lines}
    for name, kind in help_lines:
        row = re.search(rf"^\| `{name}` \| (\w+) \|", page, re.MULTILINE)
        assert row
        assert row[1] == kind or (row[1], kind) == ("info", "gauge")


@pytest.mark.parametrize("file", ["grafana-dashboard.json", "alerts.yaml"])
async def test_every_metric_in_a_panel_or_an_alert_exists(file: str, gateway: Gateway) -> None:
    """A renamed metric must not leave an empty panel or an alert that never fires."""
    text = (PAGES / file).read_text()
    used = set(re.findall(r"\b(?:percolator|process)_\w+", text))
    assert len(used) > 10
    there = {name.partition("{")[0] for name in await scrape(gateway)}
    _, _, body = await gateway.get("/metrics")
    there |= set(re.findall(r"^# TYPE (\w+) ", body.decode(), re.MULTILINE))
    assert used <= there | {f"{name}_bucket" for name in there}


def test_the_dashboard_is_valid_for_grafana() -> None:
    """Its panels do not overlap, and each has queries to the selected data source."""
    dashboard = json.loads((PAGES / "grafana-dashboard.json").read_text())
    assert (dashboard["uid"], dashboard["title"]) == ("percolator", "percolator")
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "instance"]
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert '{instance=~"$instance"' in target["expr"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_alert_has_its_advice() -> None:
    """Each alert has a section that says what to check."""
    named = set(re.findall(r"- alert: (\w+)", (PAGES / "alerts.yaml").read_text()))
    page = (PAGES / "README.md").read_text()
    assert named == set(re.findall(r"^\| (Percolator\w+) \|", page, re.MULTILINE))


def test_every_link_between_the_pages_has_a_target() -> None:
    """Each file that a page names exists."""
    for page in (*PAGES.glob("*.md"), PAGES.parent / "security.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_the_security_page_names_exists() -> None:
    """Each row of the table of abuses names at least one."""
    page = (PAGES.parent / "security.md").read_text()
    abuses = page.partition("## Tokens\n")[0]
    rows = [line for line in abuses.splitlines() if re.match(r"\| [^-]", line)]
    rows = [row for row in rows if not row.startswith("| abuse |")]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`([\w/]+)::(\w+)`", row)
        assert named, row
        for file, name in named:
            path = TESTS / f"{file}.py"
            assert path.exists(), row
            assert re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE), row
