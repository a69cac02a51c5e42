"""A little search of every kind, for an installed package: run it where no source tree is. Exits with 1 if it fails.

Needs nothing but the package's own dependencies.
"""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import sightline as sl

TEXTS = {
    "sky": "The sky is blue because air scatters short waves of light.",
    "sea": "The sea is salt, and deep, and it reflects the sky.",
    "bread": "Bread rises because yeast turns sugar into gas.",
    "beer": "Beer is brewed with yeast, malt and hops.",
}
AXES = ("sky", "sea", "bread", "beer", "yeast", "light", "water")


def embed(texts: list[str]) -> Any:
    """Count a few words, and a constant, so that no vector is zero."""
    return np.array([[1.0, *(text.lower().count(word) for word in AXES)] for text in texts], dtype=np.float32)


def expect(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        sys.exit(f"{what}: expected {wanted!r}, got {got!r}")


def check_vector_index(folder: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1000, 48)).astype(np.float32)
    queries = rng.standard_normal((5, 48)).astype(np.float32)
    index = sl.VectorIndex(48)
    index.add(vectors)
    index.save(folder / "vectors")
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    best = np.argsort(-(queries.astype(np.float64) @ unit.T), axis=1)[:, :10]
    for searched in (index, sl.VectorIndex.load(folder / "vectors", mmap=True)):
        expect("dense ids", searched.search(queries, k=10)[1].tolist(), best.tolist())


def check_bm25_index(folder: Path) -> None:
    index = sl.BM25Index(analyzer=sl.Analyzer("english"))
    index.add(list(TEXTS.values()))
    index.save(folder / "texts")
    for searched in (index, sl.BM25Index.load(folder / "texts", mmap=True)):
        ids = searched.search("brewing with yeasts", k=2)[1]
        expect("lexical ids", ids.tolist(), [3, 2])


def check_hybrid_index() -> None:
    with sl.HybridIndex(embedder=embed) as kb:
        kb.add([sl.Document(name, text, {"length": len(text)}) for name, text in TEXTS.items()])
        for mode in ("lexical", "dense", "hybrid"):
            hits = kb.search("yeast in beer", k=2, mode=mode)
            expect(f"{mode} hits", [hit.id for hit in hits], ["beer", "bread"])
        filtered = kb.search("yeast in beer", k=2, where={"length": {"$gt": len(TEXTS["beer"])}})
        expect("filtered best hit", filtered[0].id, "bread")
        expect("explained", all(hit.dense_score is not None for hit in filtered), True)


def main() -> None:
    installed = Path(sl.__file__ or "").resolve()
    expect("sightline is installed", installed.is_relative_to(Path(sysconfig.get_path("platlib")).resolve()), True)
    with tempfile.TemporaryDirectory() as folder:
        check_vector_index(Path(folder))
        check_bm25_index(Path(folder))
    check_hybrid_index()
    try:
        sl.VectorIndex(4).add([[1.0, 2.0, 3.0]])
    except sl.InvalidInputError:
        pass
    else:
        sys.exit("a wrong dimension raised nothing")
    info = sl.cpu_info()
    print(f"sightline {sl.__version__}: smoke test passed with the {info['isa']} kernels and {info['threads']} threads")


if __name__ == "__main__":
    main()
