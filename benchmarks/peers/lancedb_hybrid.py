"""LanceDB: vectors without an index (exact), its full-text index, RRF, a scalar index on the filtered field."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import Floats, HybridPeer


class Engine(HybridPeer):
    distribution = "lancedb"
    modules = ("lancedb", "pyarrow")
    description = "flat vectors, FTS index (stemmed), BITMAP index on the filter, RRFReranker(60); files, no fsync"
    exact_modes = ("dense",)

    def build(self, texts: list[str], vectors: Floats, shards: list[int]) -> None:
        import lancedb
        import pyarrow as pa

        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        table = pa.table({"id": list(range(len(texts))), "text": texts, "shard": shards, "vector": column})
        self._table = lancedb.connect(str(self.folder)).create_table("documents", table)
        self._table.create_fts_index("text", stem=True, remove_stop_words=True, with_position=False)
        self._table.create_scalar_index("id")
        self._table.create_scalar_index("shard", index_type="BITMAP")

    def load(self) -> None:
        import lancedb

        self._table = lancedb.connect(str(self.folder)).open_table("documents")

    def search(self, mode: str, text: str, vector: Floats, k: int, shard: int) -> list[int]:
        query = self._query(mode, text, vector)
        if mode == "filtered":
            query = query.where(f"shard = {shard}", prefilter=True)
        return [int(number) for number in query.limit(k).to_arrow()["id"].to_pylist()]

    def _query(self, mode: str, text: str, vector: Floats) -> Any:
        from lancedb.rerankers import RRFReranker

        if mode == "dense":
            return self._table.search(vector).distance_type("dot").select(["id", "_distance"])
        if mode == "text":
            return self._table.search(text, query_type="fts").select(["id", "_score"])
        query = self._table.search(query_type="hybrid").vector(vector).text(text).distance_type("dot")
        return query.rerank(RRFReranker(60)).select(["id"])

    def upsert(self, number: int, text: str, vector: Floats, shard: int) -> None:
        row = {"id": number, "text": text, "shard": shard, "vector": vector}
        self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute([row])
