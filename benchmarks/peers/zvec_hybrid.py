"""zvec: vectors in its flat index (exact), its full-text index with a stemmer, RRF, an inverted index on the filter."""

from __future__ import annotations

import contextlib
from typing import Any

from benchmarks.peers.base import Floats, HybridPeer

_BATCH = 1024  # the most documents that one of its inserts takes


class Engine(HybridPeer):
    distribution = "zvec"
    modules = ("zvec",)
    description = "flat index, FTS (standard, stemmer), RrfReRanker(60), inverted filter, optimised; no fsync"
    exact_modes = ("dense",)

    def build(self, texts: list[str], vectors: Floats, shards: list[int]) -> None:
        import zvec

        self._start()
        fields = [
            zvec.FieldSchema(
                "text", zvec.DataType.STRING, index_param=zvec.FtsIndexParam("standard", ["lowercase", "stemmer"])
            ),
            zvec.FieldSchema("shard", zvec.DataType.INT64, index_param=zvec.InvertIndexParam()),
        ]
        dense = zvec.VectorSchema(
            "vector",
            zvec.DataType.VECTOR_FP32,
            vectors.shape[1],
            index_param=zvec.FlatIndexParam(metric_type=zvec.MetricType.IP),
        )
        schema = zvec.CollectionSchema(name="documents", fields=fields, vectors=dense)
        self._collection = zvec.create_and_open(str(self.folder / "documents"), schema)
        for start in range(0, len(texts), _BATCH):
            numbers = range(start, min(start + _BATCH, len(texts)))
            self._check(self._collection.insert([_document(i, texts[i], vectors[i], shards[i]) for i in numbers]))
        self._collection.flush()
        self._collection.optimize()

    def load(self) -> None:
        import zvec

        self._start()
        self._collection = zvec.open(str(self.folder / "documents"))

    def _start(self) -> None:
        import zvec

        with contextlib.suppress(RuntimeError):  # it may be called once a process
            zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=self.threads, optimize_threads=self.threads)

    @staticmethod
    def _check(statuses: list[Any]) -> None:
        for status in statuses:
            if not status.ok():
                raise RuntimeError(f"zvec: {status.message()}")

    def search(self, mode: str, text: str, vector: Floats, k: int, shard: int) -> list[int]:
        import zvec

        dense = zvec.Query("vector", vector=vector)
        words = zvec.Query("text", fts=zvec.Fts(match_string=text))
        options: dict[str, Any] = {"topk": k, "output_fields": []}
        if mode == "dense":
            found = self._collection.query(dense, **options)
        elif mode == "text":
            found = self._collection.query(words, **options)
        else:
            options["filter"] = f"shard = {shard}" if mode == "filtered" else None
            found = self._collection.query([dense, words], reranker=zvec.RrfReRanker(60), **options)
        return [int(document.id) for document in found]

    def upsert(self, number: int, text: str, vector: Floats, shard: int) -> None:
        self._check([self._collection.upsert(_document(number, text, vector, shard))])


def _document(number: int, text: str, vector: Floats, shard: int) -> Any:
    import zvec

    return zvec.Doc(id=str(number), fields={"text": text, "shard": shard}, vectors={"vector": vector})
