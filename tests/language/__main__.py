"""Checks that the project's texts are in plain English: `python -m tests.language`.

Prints the place of each turn that is not, and what to write instead; exits with 1 if there is one.
"""

import sys

from tests.language.search import ROOT, search, texts


def main() -> int:
    """Search all texts, and return the exit code."""
    count = 0
    for path in texts(ROOT):
        for found in search(path.read_text(encoding="utf-8")):
            count += 1
            place = f"{path.relative_to(ROOT)}:{found.line}"
            sys.stdout.write(f'{place}: "{found.found}": write {found.instead}\n')
    if count:
        sys.stdout.write(f"{count} turns to rewrite\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
