"""Check that a tag may be released: python tools/check_release.py v0.2.0; exits with 1 and says why if not.

The tag must be "v" and the version of pyproject.toml, and CHANGELOG.md must have a dated heading for that version.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path


def problems(root: Path, tag: str) -> Iterator[str]:
    project = (root / "pyproject.toml").read_text(encoding="utf-8").partition("\n[project]\n")[2]
    version = re.search(r'^version = "([^"]+)"$', project, re.MULTILINE)
    if version is None:
        yield "pyproject.toml: [project] has no version"
        return
    if tag != f"v{version[1]}":
        yield f"the tag is {tag!r}, the version of pyproject.toml {version[1]!r}: expected the tag 'v{version[1]}'"
    heading = rf"^## {re.escape(version[1])} - \d{{4}}-\d{{2}}-\d{{2}}$"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        yield f"CHANGELOG.md: expected a heading '## {version[1]} - YYYY-MM-DD' in place of 'Unreleased'"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    found = list(problems(Path(__file__).resolve().parent.parent, sys.argv[1]))
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
