"""tape.js, row by row."""

import pytest

from tests.browser.conftest import BLANK, OpenPage
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILL = """async (trades) => {
    const { Tape } = await import("/dashboard/tape.js");
    document.body.innerHTML =
        "<section><p class=note></p><table><tbody></table><p class=empty></p></section>";
    const tape = new Tape(document.querySelector("section"));
    tape.add({ type: "gap", channel: "trades:SOL", from: 4, to: 9 });
    tape.render();
    for (let i = 0; i < trades; i += 1) tape.add({ type: "trade", side: "long", size: "1" });
    tape.render();
    return [...document.querySelectorAll("tr")].map((row) =>
        [...row.cells].filter((cell) => !cell.hidden).map((cell) => cell.colSpan));
}"""


async def test_a_row_that_showed_a_gap_can_show_a_trade(
    gateway: Gateway, open_page: OpenPage
) -> None:
    """A gap is one cell over all columns; the row has four cells again when it is reused."""
    page = await open_page(f"http://127.0.0.1:{gateway.port}{BLANK}")
    assert await page.evaluate(FILL, 59) == [*([[1, 1, 1, 1]] * 59), [4]]
    assert await page.evaluate(FILL, 60) == [[1, 1, 1, 1]] * 60
