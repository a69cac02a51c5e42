"""The module for ann-benchmarks, driven as that project's runner drives it, in a tree laid out like its own."""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

import sightline as sl

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "benchmarks" / "ann_benchmarks"
CONFIG = yaml.safe_load((OURS / "config.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Our folder as ann_benchmarks/algorithms/sightline, beside their base class."""
    tree = tmp_path_factory.mktemp("checkout")
    package = tree / "ann_benchmarks"
    shutil.copytree(ROOT / "tests" / "stubs" / "ann_benchmarks", package)
    shutil.copytree(OURS, package / "algorithms" / "sightline")
    threads = sl.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tree))
        yield importlib.import_module("ann_benchmarks.algorithms.sightline.module")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ann_benchmarks"]:
        del sys.modules[name]
    sl.set_num_threads(threads)


def definitions() -> list[tuple[dict[str, Any], str, list[Any], list[Any]]]:
    """(entry, metric, constructor arguments, query arguments): every combination that the config file stands for."""
    found = []
    for metric, entry in itertools.product(("angular", "euclidean"), CONFIG["float"]["any"]):
        base = [metric if argument == "@metric" else argument for argument in entry["base_args"]]
        for group in entry["run_groups"].values():
            for arguments in itertools.product(*group["args"]):
                for query_arguments in itertools.product(*group["query_args"]):
                    found.append((entry, metric, [*base, *arguments], list(query_arguments)))
    return found


def exact(metric: str, rows: Any, query: Any, n: int) -> list[int]:
    x, q = rows.astype(np.float64), query.astype(np.float64)
    if metric == "angular":
        distances = 1 - x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
    else:
        distances = ((x - q) ** 2).sum(axis=1)
    return np.argsort(distances, kind="stable")[:n].tolist()


def small_integers(shape: tuple[int, int], seed: int) -> Any:
    """Exact in all three stored types, so that one truth holds for all."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float32) + 0.5


@pytest.mark.parametrize(("entry", "metric", "arguments", "query_arguments"), definitions())
def test_every_entry_of_the_config_is_exact(
    module: ModuleType, entry: dict[str, Any], metric: str, arguments: list[Any], query_arguments: list[Any]
) -> None:
    assert entry["module"] == "ann_benchmarks.algorithms.sightline"
    algorithm = getattr(module, entry["constructor"])(*arguments)
    rows, queries = small_integers((500, 16), 1), small_integers((20, 16), 2)
    algorithm.fit(rows)
    algorithm.set_query_arguments(*query_arguments)
    expected = [exact(metric, rows, query, 10) for query in queries]
    assert [algorithm.query(query, 10).tolist() for query in queries] == expected
    assert algorithm.batch_query(queries, 10) is None
    assert [found.tolist() for found in algorithm.get_batch_results()] == expected
    assert arguments[-1] in str(algorithm)
    assert algorithm.get_additional()["bytes_vectors"] > 0
    algorithm.done()


def test_it_is_a_subclass_of_their_base(module: ModuleType) -> None:
    assert issubclass(module.Sightline, importlib.import_module("ann_benchmarks.algorithms.base.module").BaseANN)


def test_zero_vectors_have_no_angle(module: ModuleType) -> None:
    rows, queries = small_integers((50, 4), 3), small_integers((3, 4), 4)
    rows[[0, 7]] = 0
    queries[1] = 0
    algorithm = module.Sightline("angular")
    algorithm.fit(rows)
    algorithm.batch_query(queries, 50)
    found = [ids.tolist() for ids in algorithm.get_batch_results()]
    assert [len(ids) for ids in found] == [48, 0, 48]
    assert not {0, 7} & set(found[0])


def test_the_number_of_threads_is_a_query_argument(module: ModuleType) -> None:
    algorithm = module.Sightline("euclidean")
    algorithm.set_query_arguments(1)
    assert sl.get_num_threads() == 1
    algorithm.set_query_arguments(0)
    assert sl.get_num_threads() == module._EVERY_CPU


def test_what_it_cannot_do_is_refused(module: ModuleType) -> None:
    with pytest.raises(NotImplementedError, match="metric: expected one of angular, euclidean, got 'hamming'"):
        module.Sightline("hamming")
    with pytest.raises(RuntimeError, match="fit comes first"):
        module.Sightline("angular").query(np.ones(4, dtype=np.float32), 1)
