"""The browser client's types, and the documentation's examples in TypeScript."""

from pathlib import Path

import pytest

from tests.docs.typescript import compiled, examples
from tests.npm import install, needs_typescript, run

WRONG = """
import { connect } from "percolator-client";
const feed = connect("wss://gateway.example");
feed.subscribe("candles:SOL", (message) => console.log(message.type));
feed.subscribe("trades:SOL", (message) => console.log(message.size));
"""


@needs_typescript
@pytest.mark.parametrize("resolution", ["node16", "node"])
def test_every_example_in_typescript_compiles(tmp_path: Path, resolution: str) -> None:
    """Strictly, against the types in the npm package, however TypeScript finds them."""
    assert {"feed.ts", "Market.tsx"} < set(examples())
    out = compiled(tmp_path, resolution)
    assert {path.stem for path in out.glob("*.js")} == {Path(name).stem for name in examples()}


@needs_typescript
def test_typescript_rejects_a_wrong_channel_and_a_field_that_not_every_message_has(
    tmp_path: Path,
) -> None:
    """So the types are found, and say something."""
    install(tmp_path)
    (tmp_path / "wrong.ts").write_text(WRONG)
    options = ("--strict", "--noEmit", "--target", "es2022", "--moduleResolution", "node")
    with pytest.raises(AssertionError) as failed:
        run("tsc", *options, "wrong.ts", cwd=tmp_path)
    lines = [line for line in str(failed.value).splitlines() if line.startswith("wrong.ts")]
    assert [line.partition(",")[0] for line in lines] == ["wrong.ts(4", "wrong.ts(5"]
