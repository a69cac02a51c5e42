"""``python -m benchmarks COMMAND [options]``: ``--help`` after a command lists its options."""

from __future__ import annotations

import sys

from benchmarks import compare, report, run
from benchmarks.command import SUITES, run_suite

_COMMANDS = {
    "run": (run.main, "all suites: a quick profile, --steady or --full"),
    "report": (report.main, "a run's Markdown table and plots; docs/benchmarks.md"),
    "compare": (compare.main, "what moved between two runs, noise taken into account"),
}


def main(argv: list[str]) -> int:
    if argv and argv[0] in _COMMANDS:
        return _COMMANDS[argv[0]][0](argv[1:])
    if argv and argv[0] in SUITES:
        return run_suite(argv[0], argv[1:])
    print(__doc__)
    for name, (_, description) in _COMMANDS.items():
        print(f"  {name:10} {description}")
    for name, (_, description, _) in SUITES.items():
        print(f"  {name:10} {description}")
    return 0 if argv and argv[0] in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
