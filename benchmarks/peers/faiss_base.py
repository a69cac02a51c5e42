"""What the engines of faiss share: threads, files, ids."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import DensePeer, Floats, Ids

# For one query faiss scans row by row, from its threshold on it calls BLAS; graphs and trees are swept over these.
SWEEP = (16, 48, 128, 384)


class FaissPeer(DensePeer):
    distribution = "faiss-cpu"
    modules = ("faiss",)

    _index: Any

    def create(self, dim: int, count: int) -> Any:
        """The empty index."""
        raise NotImplementedError

    def build(self, rows: Floats) -> None:
        import faiss

        faiss.omp_set_num_threads(self.threads)
        self._index = self.create(rows.shape[1], len(rows))
        if not self._index.is_trained:
            self._index.train(rows)
        self._index.add(rows)

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        found: Ids = self._index.search(queries, k)[1]
        return found

    def save(self) -> None:
        import faiss

        faiss.write_index(self._index, str(self.folder / "index"))

    def load(self) -> None:
        import faiss

        faiss.omp_set_num_threads(self.threads)
        self._index = faiss.read_index(str(self.folder / "index"))
