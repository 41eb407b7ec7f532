"""The TypeScript and JavaScript of the documentation, compiled with `tsc --strict`."""

from pathlib import Path

from tests.docs.pages import blocks
from tests.npm import install, run

LANGUAGES = ("ts", "tsx", "js")
GENERATED = "docs/api-browser.md"
"""Its blocks are parts of the types, which are compiled as a whole."""
REACT = """
declare module "react" {
  export function useEffect(effect: () => void | (() => void), changes: unknown[]): void;
  export function useState<T>(first: T): [T, (next: T | ((last: T) => T)) => void];
}
declare const React: unknown;
declare namespace JSX {
  interface Element {}
  interface IntrinsicElements {
    [name: string]: { key?: string | number; children?: unknown };
  }
}
"""
"""What the examples use of React: Debian's package has no types."""
FLAGS = ("--strict", "--target", "es2022", "--lib", "es2022,dom", "--jsx", "react", "--allowJs")


def examples() -> dict[str, str]:
    """Return each example by its file's name, which its first line has, or else a number."""
    found = {}
    for number, block in enumerate(blocks()):
        if block.language in LANGUAGES and block.page != GENERATED:
            first, _, _ = block.text.partition("\n")
            named = first.startswith("// ")
            found[first[3:] if named else f"example{number}.{block.language}"] = block.text
    return found


def compiled(project: Path, resolution: str = "node16") -> Path:
    """Compile all examples in a project with the npm package; return the folder of the output.

    `resolution`: how TypeScript finds the package's types.
    """
    install(project)
    (project / "package.json").write_text('{"type": "module"}')
    (project / "react.d.ts").write_text(REACT)
    for name, text in examples().items():
        (project / name).write_text(text)
    module = "node16" if resolution == "node16" else "es2022"
    options = ("--moduleResolution", resolution, "--module", module, "--outDir", "out")
    run("tsc", *FLAGS, *options, "react.d.ts", *examples(), cwd=project)
    return project / "out"
