"""HybridIndex in a directory, every acknowledged write fsync'ed."""

from __future__ import annotations

import sightline as sl
from benchmarks.peers.base import Floats, HybridPeer


class Engine(HybridPeer):
    distribution = "sightline"
    modules = ("sightline", "sightline.hybrid_index", "sightline.vector_index", "sightline.bm25_index")
    description = "HybridIndex in a directory, durability=full, Convex() over all documents"
    exact_modes = ("hybrid", "dense", "text", "filtered")

    def build(self, texts: list[str], vectors: Floats, shards: list[int]) -> None:
        self._index = sl.HybridIndex(self.folder / "kb")
        self._index.add(
            sl.Document(str(i), text, {"shard": shard}, vector)
            for i, (text, vector, shard) in enumerate(zip(texts, vectors, shards, strict=True))
        )

    def load(self) -> None:
        self._index = sl.HybridIndex.open(self.folder / "kb", read_only=True)

    def search(self, mode: str, text: str, vector: Floats, k: int, shard: int) -> list[int]:
        if mode == "text":
            hits = self._index.search(text, k, mode="lexical")
        elif mode == "dense":
            hits = self._index.search(None, k, mode="dense", vector=vector)
        elif mode == "filtered":
            hits = self._index.search(text, k, vector=vector, where={"shard": shard})
        else:
            hits = self._index.search(text, k, vector=vector, fusion=sl.RRF() if mode == "rrf" else None)
        return [int(hit.id) for hit in hits]

    def upsert(self, number: int, text: str, vector: Floats, shard: int) -> None:
        self._index.upsert([sl.Document(str(number), text, {"shard": shard}, vector)])

    def close(self) -> None:
        self._index.close()

    def save(self) -> None:
        self._index.close()
        self._index = sl.HybridIndex(self.folder / "kb")  # leaves the closed state in the files, to be measured
