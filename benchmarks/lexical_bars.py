"""What the lexical engine promises, beside what a run measured: one line a bar, printed after the rows."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Row
from benchmarks.workers import Contender

__all__ = ["Bars"]

_BM25S, _BM25S_SENTENCES = 3.0, 4.0  # times its queries a second
_TANTIVY = 6.0
_TANTIVY_INDEXING = 2.0
_PACKED_TIME = 2.0  # of the scan form's
_PACKED_SIZE = 1.2  # of tantivy's folder
_ADD_MILLISECONDS = 1.0


class Bars:
    """Collects figures while a suite runs; engines that were not asked for have no line."""

    def __init__(self, *, sentences: bool) -> None:
        self._bm25s = _BM25S_SENTENCES if sentences else _BM25S
        self._lines: list[str] = []

    def searched(self, case: str, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.engine == "bm25s-numba":
                self._at_least(f"{case}: times bm25s-numba", row, self._bm25s)
            elif row.engine == "tantivy":
                self._at_least(f"{case}: times tantivy", row, _TANTIVY)
            elif row.engine == "sightline-packed" and row.ratio is not None:
                self._line(f"{case}: packed, times the scan form's time", row.ratio["value"], _PACKED_TIME, most=True)

    def indexed(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.engine == "tantivy":
                self._at_least("indexing: times tantivy", row, _TANTIVY_INDEXING)

    def added(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.median is not None:
                name = f"one document added and found, {row.engine}, ms"
                self._line(name, row.median, _ADD_MILLISECONDS, most=True)

    def sizes(self, engines: Sequence[Contender]) -> None:
        bytes_of = {engine.name: engine.built.get("disk_bytes") for engine in engines if engine.built}
        packed, tantivy = bytes_of.get("sightline-packed"), bytes_of.get("tantivy")
        if packed and tantivy:
            self._line("packed, times tantivy's bytes on disk", packed / tantivy, _PACKED_SIZE, most=True)

    def show(self) -> None:
        if self._lines:
            print("\n ".join([" bars:", *self._lines]), flush=True)

    def _at_least(self, name: str, row: Row, wanted: float) -> None:
        if row.ratio is not None:
            self._line(name, row.ratio["value"], wanted, most=False)

    def _line(self, name: str, figure: float, wanted: float, *, most: bool) -> None:
        met = figure <= wanted if most else figure >= wanted
        bound = "at most" if most else "at least"
        self._lines.append(f"  {name:64} {figure:9.3f}  ({bound} {wanted:g}: {'met' if met else 'NOT met'})")
