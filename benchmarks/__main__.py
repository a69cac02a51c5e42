"""``python -m benchmarks COMMAND [options]``: run one comparison; ``--help`` after a command lists its options."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "dense": "VectorIndex against faiss IndexFlatIP and NumPy",
    "hybrid": "HybridIndex on disk: ingest, open, search, upsert",
    "lexical": "BM25Index against bm25s, and tantivy if installed",
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in COMMANDS:
        print(__doc__)
        for name, description in COMMANDS.items():
            print(f"  {name:10} {description}")
        return 0 if argv and argv[0] in ("-h", "--help") else 2
    module = importlib.import_module(f"benchmarks.{argv[0]}")
    result: int = module.main(argv[1:])
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
