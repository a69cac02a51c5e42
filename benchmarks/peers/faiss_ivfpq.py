"""faiss: inverted lists, product quantisation scanned in registers (fast-scan), the best refined by float32."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.peers.base import Floats, Ids, Setting
from benchmarks.peers.faiss_base import FaissPeer


class Engine(FaissPeer):
    description = "IVF{lists},PQ{half}x4fs,RFlat; its guidelines: 4 to 16 sqrt(n) lists, 2 dimensions a sub-quantiser"

    def create(self, dim: int, count: int) -> Any:
        import faiss

        lists = 2 ** round(math.log2(4 * math.sqrt(count)))
        lists = max(1, min(lists, count // 40))  # k-means warns below 39 rows a list
        self._shape = {"lists": lists, "half": dim // 2}
        name = f"IVF{lists},PQ{dim // 2}x4fs,RFlat"
        return faiss.index_factory(dim, name, faiss.METRIC_INNER_PRODUCT)

    def described(self) -> str:
        return self.description.format(**self._shape)

    def settings(self) -> list[Setting]:
        pairs = ((4, 4), (16, 8), (48, 24), (128, 64))
        return [Setting(f"nprobe={p} refine={r}", options={"nprobe": p, "refine": r}) for p, r in pairs]

    def search(self, queries: Floats, k: int, options: dict[str, Any]) -> Ids:
        import faiss

        inner = faiss.SearchParametersIVF(nprobe=options["nprobe"])
        parameters = faiss.IndexRefineSearchParameters(k_factor=options["refine"], base_index_params=inner)
        found: Ids = self._index.search(queries, k, params=parameters)[1]
        return found
