"""The benchmarks' data: files in published formats, generated vectors that look like embeddings."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from benchmarks import data, texts, vectors

from sightline.errors import InvalidInputError

ROWS = np.random.default_rng(0).integers(1, 200, (40, 6)).astype(np.uint8)


def write_vecs(path, rows):
    head = np.full((len(rows), 1), rows.shape[1], dtype="<i4").view(np.uint8)
    path.write_bytes(np.hstack([head, np.ascontiguousarray(rows).view(np.uint8)]).tobytes())


def unit(rows):
    wide = rows.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


@pytest.mark.parametrize(("suffix", "dtype"), [(".fvecs", "<f4"), (".bvecs", "u1")])
def test_vecs_files_and_folders(tmp_path, suffix, dtype):
    write_vecs(tmp_path / f"set_base{suffix}", ROWS.astype(dtype))
    write_vecs(tmp_path / f"set_query{suffix}", ROWS[:3].astype(dtype))
    folder = data.load_vectors(tmp_path)
    assert np.allclose(folder.rows, unit(ROWS), atol=1e-6)
    assert np.allclose(folder.queries, unit(ROWS[:3]), atol=1e-6)
    single = data.load_vectors(tmp_path / f"set_base{suffix}")  # the last tenth become queries
    assert np.allclose(single.rows, unit(ROWS[:36]), atol=1e-6)
    assert np.allclose(single.queries, unit(ROWS[36:]), atol=1e-6)
    assert len(data.load_vectors(tmp_path, 5).rows) == 5


def test_hdf5_of_ann_benchmarks(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "set-6-euclidean.hdf5"
    with h5py.File(path, "w") as file:
        file["train"], file["test"] = ROWS, ROWS[:2]
    found = data.load_vectors(path)
    assert np.allclose(found.rows, unit(ROWS), atol=1e-6)
    assert found.described() == "set-6-euclidean, by cosine, 40 x 6"
    with h5py.File(path, "w") as file:
        file["train"] = ROWS
    with pytest.raises(InvalidInputError, match="'train' and 'test'"):
        data.load_vectors(path)


def test_bad_vector_files_say_what_is_wrong(tmp_path):
    (tmp_path / "bad.fvecs").write_bytes(b"\x02\0\0\0" + b"\0" * 7)
    np.save(tmp_path / "flat.npy", np.ones(5))
    np.save(tmp_path / "zero.npy", np.zeros((20, 3)))
    np.save(tmp_path / "few.npy", np.ones((5, 3)))
    for name, message in {
        "bad.fvecs": "rows of 2 values",
        "flat.npy": "two axes, got 1",
        "zero.npy": "finite vectors other than zero",
        "few.npy": "at least 10 rows",
        "what.csv": "expected a folder, or a file",
    }.items():
        with pytest.raises(InvalidInputError, match=message):
            data.load_vectors(tmp_path / name)
    with pytest.raises(InvalidInputError, match=r"docs\.npy and queries\.npy, or one file"):
        data.load_vectors(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_beir_folder(tmp_path, packed):
    corpus = [{"_id": f"d{i}", "title": f"Title {i}", "text": f"text {i}", "metadata": {}} for i in range(4)]
    lines = "".join(json.dumps(row) + "\n" for row in corpus)
    queries = "".join(json.dumps({"_id": f"q{i}", "text": f"query {i}"}) + "\n" for i in range(2))
    qrels = "query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td9\t1\nq7\td0\t1\n"  # the unknown are left out
    (tmp_path / "qrels").mkdir()
    for name, content in {"corpus.jsonl": lines, "queries.jsonl": queries, "qrels/test.tsv": qrels}.items():
        if packed:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
        else:
            (tmp_path / name).write_text(content, encoding="utf-8")
    assert data.has_texts(tmp_path)
    found = data.load_collection(tmp_path)
    assert found.texts[2] == "Title 2 text 2"
    assert found.queries == ["query 0", "query 1"]
    assert found.judged == {1: {2: 1}}
    assert found.rows is None
    np.save(tmp_path / "docs.npy", ROWS[:4])
    np.save(tmp_path / "queries.npy", ROWS[:2])
    assert data.load_collection(tmp_path).rows.shape == (4, 6)
    np.save(tmp_path / "docs.npy", ROWS[:3])
    with pytest.raises(InvalidInputError, match="one row for each line"):
        data.load_collection(tmp_path)


def test_embedding_like_vectors_have_the_stated_structure():
    rows, queries = vectors.embedding_like(20_000, 384, 200, seed=5)
    assert rows.shape == (20_000, 384)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    energy = np.sort(np.linalg.eigvalsh(np.cov(rows[:8000].T)))[::-1]
    energy /= energy.sum()
    assert 60 < 1 / np.sum(energy**2) < 120  # participation ratio; of Gaussian vectors it would be near 384
    assert 0.45 < energy[:50].sum() < 0.65
    ranked = np.sort(queries @ rows.T, axis=1)[:, ::-1]
    # Cosines to the nearest, the 100th and the middle row, as the comment above the generator says.
    assert 0.5 < ranked[:, 0].mean() < 0.7
    assert 0.3 < ranked[:, 99].mean() < 0.45
    assert 0.03 < ranked[:, 10_000].mean() < 0.11
    again = vectors.embedding_like(20_000, 384, 200, seed=5)[0]
    assert np.array_equal(rows, again)


def test_known_items_hide_the_summary():
    documents, queries = texts.known_items(3000)
    assert len(queries) == min(500, len(documents))
    assert not any(query in document for document, query in zip(documents, queries, strict=False))
    assert all(len(query.split()) >= 4 for query in queries)
