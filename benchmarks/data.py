"""Data to measure on: generated, or from files in the formats that others publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import texts, vectors
from sightline import datasets
from sightline.errors import InvalidInputError

FloatArray = npt.NDArray[np.float32]

__all__ = [
    "Collection",
    "Vectors",
    "default_collection",
    "generated_vectors",
    "has_texts",
    "load_collection",
    "load_vectors",
]

_LEAST_QUERIES = 1000  # generated whatever is asked for, since the rows depend on their number
_HELD_OUT = 1000  # rows that become queries where a file brings none


@dataclass(frozen=True)
class Vectors:
    """Unit vectors to search by inner product, and where they are from."""

    name: str
    rows: FloatArray
    queries: FloatArray

    def described(self) -> str:
        return f"{self.name}, {len(self.rows):,} x {self.rows.shape[1]}"


@dataclass(frozen=True)
class Collection:
    """Documents and queries; perhaps their vectors, and judgments by document number."""

    name: str
    texts: list[str]
    queries: list[str]
    rows: FloatArray | None = None
    query_rows: FloatArray | None = None
    judged: dict[int, dict[int, int]] | None = None  # query number -> document number -> grade

    def described(self) -> str:
        return f"{self.name}, {len(self.texts):,} documents"


def generated_vectors(kind: str, count: int, dim: int, queries: int, seed: int) -> Vectors:
    """``kind``: "embedding" (like sentence embeddings) or "gaussian" (the worst case)."""
    rows, query_rows = _generated(kind, count, dim, max(queries, _LEAST_QUERIES), seed)
    name = "Gaussian, the worst case" if kind == "gaussian" else "embedding-like"
    return Vectors(name, rows, query_rows[:queries])


@lru_cache(maxsize=8)  # the suites and passes of a run ask for the same ones
def _generated(kind: str, count: int, dim: int, queries: int, seed: int) -> tuple[FloatArray, FloatArray]:
    make = vectors.gaussian if kind == "gaussian" else vectors.embedding_like
    made = make(count, dim, queries, seed)
    for part in made:
        part.setflags(write=False)  # it is everybody's
    return made


def default_collection(limit: int, seed: int, dim: int = 384) -> Collection:
    """The docstrings of the standard library with embedding-like vectors, which have nothing to do with the texts:
    enough to measure speed, not to judge answers by.
    """
    documents, queries = texts.docstrings(limit)
    rows, query_rows = _generated("embedding", len(documents), dim, len(queries), seed)
    return Collection("standard-library docstrings", documents, queries, rows, query_rows)


def load_vectors(path: Path, limit: int | None = None) -> Vectors:
    """Read a folder with docs.npy and queries.npy or with ..._base.fvecs and ..._query.fvecs (bvecs too), an HDF5 file
    of ann-benchmarks, or one .npy, .fvecs or .bvecs file, whose last rows become the queries.

    Vectors are brought to unit length: neighbours are those by cosine, also of sets made for Euclidean distance.
    """
    if path.is_dir():
        base, queries = _pair(path)
        rows = _READERS[base.suffix](base)
        query_rows = _READERS[queries.suffix](queries)
        name = path.name
    elif path.suffix in (".hdf5", ".h5"):
        rows, query_rows = _read_hdf5(path)
        name = path.stem
    elif path.suffix in _READERS:
        everything = _READERS[path.suffix](path)
        held_out = min(_HELD_OUT, len(everything) // 10)
        if held_out == 0:
            raise InvalidInputError(f"{path}: expected at least 10 rows, some of which become queries")
        rows, query_rows = everything[:-held_out], everything[-held_out:]
        name = path.stem
    else:
        raise InvalidInputError(f"{path}: expected a folder, or a file .hdf5, .npy, .fvecs or .bvecs")
    if rows.shape[1] != query_rows.shape[1]:
        raise InvalidInputError(f"{path}: rows have {rows.shape[1]} dimensions, queries {query_rows.shape[1]}")
    rows, query_rows = (np.array(part, dtype=np.float32, order="C") for part in (rows[:limit], query_rows))
    for what, part in (("rows", rows), ("queries", query_rows)):
        if not np.isfinite(part).all() or not part.any(axis=1).all():
            raise InvalidInputError(f"{path}: {what}: expected finite vectors other than zero, which have no direction")
    return Vectors(f"{name}, by cosine", vectors.normalise(rows), vectors.normalise(query_rows))


def has_texts(path: Path) -> bool:
    return path.is_dir() and any((path / f"corpus.jsonl{end}").exists() for end in ("", ".gz"))


def load_collection(path: Path, limit: int | None = None) -> Collection:
    """Read a folder in the format of BEIR: corpus.jsonl, queries.jsonl, qrels/*.tsv if there, each perhaps .gz; also
    docs.npy and queries.npy, the embeddings of its lines.
    """
    identities, documents = [], []
    for entry in datasets.read_corpus(_one_of(path, "corpus.jsonl")):
        if limit is not None and len(documents) == limit:
            break
        identities.append(entry["id"])
        documents.append(f"{entry['title'] or ''} {entry['text']}".strip())
    queries = datasets.read_queries(_one_of(path, "queries.jsonl"))
    rows = query_rows = judged = None
    if (path / "docs.npy").exists() and (path / "queries.npy").exists():
        loaded = load_vectors(path, len(documents))
        rows, query_rows = loaded.rows, loaded.queries
        if len(rows) != len(documents) or len(query_rows) != len(queries):
            raise InvalidInputError(f"{path}: docs.npy and queries.npy: expected one row for each line of text")
    files = sorted((path / "qrels").glob("*.tsv*"))
    if files:
        chosen = next((file for file in files if file.name.startswith("test.tsv")), files[0])
        number = {identity: i for i, identity in enumerate(identities)}
        of_query = {identity: i for i, identity in enumerate(queries)}
        judged = {
            of_query[query]: {number[document]: grade for document, grade in grades.items() if document in number}
            for query, grades in datasets.read_qrels(chosen).items()
            if query in of_query
        }
    return Collection(path.name, documents, list(queries.values()), rows, query_rows, judged)


def _one_of(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.exists() else folder / name


def _pair(folder: Path) -> tuple[Path, Path]:
    if (folder / "docs.npy").exists() and (folder / "queries.npy").exists():
        return folder / "docs.npy", folder / "queries.npy"
    found = [file for file in sorted(folder.iterdir()) if file.suffix in (".fvecs", ".bvecs", ".npy")]
    base = [file for file in found if "base" in file.stem]
    queries = [file for file in found if "query" in file.stem]
    if len(base) != 1 or len(queries) != 1:
        raise InvalidInputError(
            f"{folder}: expected docs.npy and queries.npy, or one file *base* and one *query* (.fvecs, .bvecs, .npy); "
            f"got {[file.name for file in found]}"
        )
    return base[0], queries[0]


def _read_hdf5(path: Path) -> tuple[Any, Any]:
    try:
        import h5py
    except ImportError:
        raise InvalidInputError(f"{path}: HDF5 needs h5py: pip install 'sightline[bench-all]'") from None
    with h5py.File(path, "r") as file:
        if "train" not in file or "test" not in file:
            raise InvalidInputError(f"{path}: expected the data sets 'train' and 'test', got {sorted(file)}")
        return file["train"][:], file["test"][:]


def _read_npy(path: Path) -> npt.NDArray[Any]:
    rows: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if rows.ndim != 2:
        raise InvalidInputError(f"{path}: expected two axes, got {rows.ndim}")
    return rows


def _vecs_reader(dtype: str) -> Callable[[Path], npt.NDArray[Any]]:
    """TEXMEX: each row is its dimension as int32, little endian, then the values."""

    def read(path: Path) -> npt.NDArray[Any]:
        raw = np.memmap(path, dtype=np.uint8, mode="r")
        dim = int(raw[:4].view("<i4")[0]) if len(raw) >= 4 else 0
        stride = 4 + dim * np.dtype(dtype).itemsize
        if dim <= 0 or len(raw) % stride:
            raise InvalidInputError(f"{path}: expected rows of {dim} values after their count, got {len(raw)} bytes")
        rows = raw.reshape(-1, stride)
        if not (np.ascontiguousarray(rows[:, :4]).view("<i4") == dim).all():
            raise InvalidInputError(f"{path}: its rows differ in dimension")
        return np.ascontiguousarray(rows[:, 4:]).view(dtype)

    return read


_READERS = {".npy": _read_npy, ".fvecs": _vecs_reader("<f4"), ".bvecs": _vecs_reader("u1")}
