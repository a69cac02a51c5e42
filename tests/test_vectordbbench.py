"""The client for VectorDBBench, against that package's base classes where it is installed, else against stubs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STUBS = Path(__file__).resolve().parent / "stubs"
INSTALLED = find_spec("vectordb_bench") is not None
if not INSTALLED:
    sys.path.append(str(STUBS))
os.environ.setdefault("LOG_FILE", os.devnull)  # it would write logs/vectordb_bench.log where the tests run

from benchmarks.vectordbbench.client import Sightline
from benchmarks.vectordbbench.config import SightlineCaseConfig, SightlineConfig
from vectordb_bench.backend.clients.api import DBCaseConfig, DBConfig, MetricType, VectorDB
from vectordb_bench.backend.filter import Filter, FilterOp, IntFilter, LabelFilter, NonFilter

import sightline as sl

ROWS, DIM = 300, 12


def test_which_base_classes_these_are() -> None:
    if not INSTALLED:
        pytest.skip("vectordb-bench is not installed: the tests below run against stubs of its base classes")
    assert STUBS not in Path(sys.modules[VectorDB.__module__].__file__ or "").parents


def vectors(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def labels() -> list[str]:
    return [f"label_{10 * (i % 2) + 10}p" for i in range(ROWS)]


def made(path: Path, **options: Any) -> Sightline:
    config = SightlineConfig(db_label="test", path=str(path), durability="os")
    return Sightline(DIM, config.to_dict(), SightlineCaseConfig(), **options)


@pytest.fixture
def filled(tmp_path: Path) -> Sightline:
    client = made(tmp_path, drop_old=True)
    with client.init():
        for first in range(0, ROWS, 100):
            chosen = slice(first, first + 100)
            numbers = list(range(ROWS))[chosen]
            done = client.insert_embeddings(vectors(ROWS, 1)[chosen].tolist(), numbers, labels_data=labels()[chosen])
            assert done == (100, None)
        client.optimize(ROWS)
    return client


def exact(query: Any, allowed: Any = None) -> list[int]:
    x = vectors(ROWS, 1).astype(np.float64)
    scores = x @ query.astype(np.float64) / np.linalg.norm(x, axis=1)
    order = np.argsort(-scores, kind="stable")
    return [int(i) for i in order if allowed is None or allowed(i)][:10]


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        (NonFilter(), None),
        (IntFilter(int_value=200), lambda i: i >= 200),
        (LabelFilter(label_percentage=0.2), lambda i: i % 2 == 1),
    ],
)
def test_searches_are_exact_under_every_filter(filled: Sightline, filters: Filter, allowed: Any) -> None:
    assert Sightline.filter_supported(filters)
    filled.prepare_filter(filters)
    with filled.init():
        for query in vectors(5, 2):
            assert filled.search_embedding(query.tolist(), k=10) == exact(query, allowed)


def test_it_implements_their_contract() -> None:
    assert issubclass(Sightline, VectorDB)
    assert not Sightline.__abstractmethods__
    assert issubclass(SightlineConfig, DBConfig)
    assert issubclass(SightlineCaseConfig, DBCaseConfig)
    assert set(Sightline.supported_filter_types) == set(FilterOp)
    assert SightlineCaseConfig().index_param() == {"metric": "cosine"}
    assert SightlineCaseConfig().search_param() == {}


@pytest.mark.parametrize("copied", [deepcopy, lambda client: pickle.loads(pickle.dumps(client))])
def test_copies_open_the_directory_for_themselves(filled: Sightline, copied: Any) -> None:
    query = vectors(1, 3)[0]
    with filled.init():
        assert filled.search_embedding(query.tolist(), k=10) == exact(query)
        copy = copied(filled)
        with copy.init():
            assert copy.search_embedding(query.tolist(), k=10) == exact(query)


def test_another_process_searches_while_this_one_writes(filled: Sightline, tmp_path: Path) -> None:
    query = vectors(1, 4)[0]
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"import pickle; client = pickle.loads({pickle.dumps(filled)!r})\n"
        f"with client.init(): print(client.search_embedding({query.tolist()!r}, k=1))"
    )
    with filled.init():
        assert filled.insert_embeddings([query.tolist()], [ROWS]) == (1, None)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == f"[{ROWS}]\n", done.stderr


def test_a_failed_insertion_adds_nothing_and_says_why(filled: Sightline) -> None:
    with filled.init():
        count, error = filled.insert_embeddings(vectors(2, 5).tolist(), [ROWS, 5])
        assert count == 0
        assert isinstance(error, sl.DuplicateIdError)
        assert filled.insert_embeddings(vectors(1, 5).tolist(), [ROWS]) == (1, None)


def test_dropping_takes_an_index_and_nothing_else(filled: Sightline, tmp_path: Path) -> None:
    kept = made(tmp_path)
    with kept.init():
        assert len(kept.search_embedding(vectors(1, 6)[0].tolist(), k=10)) == 10
    dropped = made(tmp_path, drop_old=True)
    with dropped.init():
        assert dropped.search_embedding(vectors(1, 6)[0].tolist(), k=10) == []
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("dear to somebody", "utf-8")
    with pytest.raises(ValueError, match="is no index"):
        made(tmp_path, collection_name="papers", drop_old=True)
    assert (tmp_path / "papers" / "thesis.txt").exists()


def test_documents_are_found_by_their_words(tmp_path: Path) -> None:
    client = made(tmp_path, drop_old=True)
    assert client.supports_full_text_search()
    assert client.has_text_field()
    with client.init():
        assert client.insert_documents(["red apples", "green pears", "red and green"], ["a", "b", "c"]) == (3, None)
        assert client.search_documents("red apples", k=2) == ["a", "c"]


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="by cosine, got"):
        Sightline(DIM, {"path": str(tmp_path)}, SightlineCaseConfig(metric_type=MetricType.L2))
    assert not list(tmp_path.iterdir())
    client = made(tmp_path)
    with client.init(), pytest.raises(NotImplementedError, match="tenants"):
        client.search_embedding([1.0] * DIM, tenant="a")
