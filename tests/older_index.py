"""Indexes as older versions wrote them, made of new ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

# What each schema version brought: a kind of segment file, and a column of that name in the manifest.
_BROUGHT = {3: "columns", 4: "documents"}


def make_older(folder: Path, version: int) -> None:
    """Turn an index that is closed into one of an older schema, whose segments lack files."""
    database = sqlite3.connect(folder / "sightline.db")
    for kind in (kind for brought, kind in _BROUGHT.items() if brought > version):
        database.execute(f"ALTER TABLE segments DROP COLUMN {kind}")
        for path in (folder / "segments").glob(f"*.{kind}"):
            path.unlink()
    database.executescript(f"PRAGMA user_version = {version}; PRAGMA wal_checkpoint(TRUNCATE);")
    database.close()
