"""VectorIndex over float16 and bfloat16 originals: rounded once, exact from then on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sightline as sl

METRICS = ("cosine", "ip", "l2")
DTYPES = ("float32", "float16", "bfloat16")
each_metric = pytest.mark.parametrize("metric", METRICS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_narrow_dtype = pytest.mark.parametrize("dtype", DTYPES[1:])
# (bits of the significand after the first, least exponent of a normal value)
FORMATS = {"float32": (23, -126), "float16": (10, -14), "bfloat16": (7, -126)}


def nearest(values: npt.ArrayLike, dtype: str) -> npt.NDArray[np.float64]:
    """The model of storing: round float64 to the format once, ties to even. Infinities are the caller's to avoid."""
    exact = np.asarray(values, np.float64)
    bits, least = FORMATS[dtype]
    _, exponent = np.frexp(exact)  # values in [2^(e-1), 2^e)
    step = np.maximum(exponent - 1, least) - bits
    return np.ldexp(np.rint(np.ldexp(exact, -step)), step)


def brute_force(
    metric: str, query: npt.NDArray[np.float32], rows: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scores in float64, and a bound on the error of any float64 evaluation of them."""
    q, x = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        squares = ((x - q) ** 2).sum(axis=1)
        return -squares, 1e-12 * squares
    scores, sizes = x @ q, np.abs(x) @ np.abs(q)
    if metric == "cosine":
        norms = np.sqrt((x * x).sum(axis=1)) * np.sqrt((q * q).sum())
        scores, sizes = np.clip(scores / norms, -1, 1), sizes / norms
    return scores, 1e-12 * sizes


def same_bits(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def make_rows(kind: str, n: int, dim: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, dim)).astype(np.float32)
    if kind == "few":  # many equal rows once they are rounded, so many ties
        rows = rows[rng.integers(0, max(1, n // 9), n)] * (1 + rng.integers(-1, 2, (n, 1)) * np.float32(2**-14))
    elif kind == "denormal":  # of float16
        rows *= np.float32(2**-20)
    elif kind == "large":
        rows = (rows / np.abs(rows).max() * 65504).astype(np.float32)
    elif kind == "mixed":
        rows = (rows * 2.0 ** rng.integers(-18, 12, (n, dim))).astype(np.float32)
    rows = rows.astype(np.float32)
    rows[~nearest(rows, "float16").any(axis=1), 0] = 1
    return rows


# --- exact with respect to what is stored ---------------------------------------------------------------------------


@given(
    kind=st.sampled_from(["normal", "few", "denormal", "large", "mixed"]),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from(DTYPES),
    n=st.sampled_from([1, 2, 63, 64, 65, 129, 300]),
    dim=st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 31, 64, 65, 100]),
    k=st.sampled_from([1, 10, 400]),
    parts=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_searches_are_exact_over_what_get_returns(
    kind: str, metric: str, dtype: str, n: int, dim: int, k: int, parts: int, seed: int
) -> None:
    rows = make_rows(kind, n, dim, seed)
    index = sl.VectorIndex(dim, metric, dtype)
    for part in np.array_split(rows, parts):
        index.add(part)
    stored = index.get(index.ids)
    assert same_bits(stored, nearest(rows, dtype).astype(np.float32))
    # An index of the stored values as float32 is another way to the same bits.
    twin = sl.VectorIndex(dim, metric)
    twin.add(stored)
    queries = np.concatenate([make_rows(kind, 3, dim, seed + 1), rows[:2], make_rows("normal", 1, dim, seed + 2)])
    scores, ids = index.search(queries, k)
    twin_scores, twin_ids = twin.search(queries, k)
    assert same_bits(ids, twin_ids)
    assert same_bits(scores, twin_scores)
    for q, query in enumerate(queries):
        values, errors = brute_force(metric, query, stored)
        exact = index.score(query, index.ids)
        assert ((exact >= (values - errors).astype(np.float32)) & (exact <= (values + errors).astype(np.float32))).all()
        best = np.lexsort((index.ids, -exact.astype(np.float64)))[:k]
        assert ids[q, : len(best)].tolist() == best.tolist()
        assert same_bits(scores[q, : len(best)], exact[best])
        middle = float(exact[best[len(best) // 2]])
        assert index.range_search(query, middle)[1].tolist() == twin.range_search(query, middle)[1].tolist()


@each_metric
@each_narrow_dtype
def test_the_bounds_prune(metric: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    index = sl.VectorIndex(64, metric, dtype)
    index.add(rng.standard_normal((20_000, 64)))
    for count in (1, 40):
        _, _, stats = index.search(rng.standard_normal((count, 64)), 10, stats=True)
        assert 10 * count <= stats["rows_exact"] < 0.05 * 20_000 * count


def test_the_bytes_of_stored_rows_are_counted_by_their_size() -> None:
    rng = np.random.default_rng(2)
    rows, query = rng.integers(-8, 9, (5000, 32)), rng.standard_normal(32)
    counted = {}
    for dtype in DTYPES:
        index = sl.VectorIndex(32, "ip", dtype)
        index.add(rows)  # the same in every dtype
        _, _, stats = index.search(query, 10, mask=[3, 5, 7], stats=True)
        assert stats["rows_exact"] == 3
        counted[dtype] = stats["bytes"]
    assert counted == {"float32": 3 * 32 * 4, "float16": 3 * 32 * 2, "bfloat16": 3 * 32 * 2}


# --- rounded once ---------------------------------------------------------------------------------------------------


def test_float16_into_float16_is_lossless() -> None:
    words = np.arange(65536, dtype=np.uint16)
    values = words.view(np.float16)
    values = values[np.isfinite(values)].reshape(-1, 31)
    index = sl.VectorIndex(31, "ip", "float16")
    index.add(values)
    assert same_bits(index.get(index.ids).astype(np.float16), values)


def test_bfloat16_values_are_lossless() -> None:
    words = np.arange(65536, dtype=np.uint32) << 16
    values = words.view(np.float32)
    values = values[np.isfinite(values)].reshape(-1, 255)
    index = sl.VectorIndex(255, "ip", "bfloat16")
    index.add(values)
    assert same_bits(index.get(index.ids), values)


@each_narrow_dtype
@given(st.data())
def test_float64_is_rounded_once(dtype: str, data: st.DataObject) -> None:
    """Values beside a tie, so near that float32 takes them for it."""
    bits, _ = FORMATS[dtype]
    significand = data.draw(st.integers(2**bits, 2 ** (bits + 1) - 1))
    exponent = data.draw(st.integers(-40, 8)) - bits
    beside = data.draw(st.sampled_from([-1.0, 0.0, 1.0])) * 2.0 ** -data.draw(st.integers(8, 40))
    sign = data.draw(st.sampled_from([-1.0, 1.0]))
    value = sign * float(np.ldexp(significand + 0.5 + beside * 0.5, exponent))
    index = sl.VectorIndex(1, "ip", dtype)
    index.add([[value]])
    assert index.get([0])[0, 0] == nearest(value, dtype)


@each_narrow_dtype
def test_what_rounding_twice_gets_wrong(dtype: str) -> None:
    bits, _ = FORMATS[dtype]
    index = sl.VectorIndex(1, "ip", dtype)
    tie = 1 + 2.0 ** -(bits + 1)
    index.add([[tie], [tie + 2**-40], [-tie - 2**-40], [tie + 2.0**-bits - 2**-40], [1e-60], [5e-324], [2**-150]])
    up = 1 + 2.0**-bits
    assert index.get(np.arange(7))[:, 0].tolist() == [1, up, -up, up, 0, 0, 0]


def test_integers_and_long_double_are_rounded_once() -> None:
    index = sl.VectorIndex(1, "ip", "bfloat16")
    tie = 2**62 + 2**54
    index.add(np.array([[tie], [tie + 1], [-tie - 1]]))
    index.add(np.array([[2**63 + 2**55 + 1]], np.uint64))
    index.add(np.array([[tie]], np.longdouble))
    assert index.get(np.arange(5))[:, 0].tolist() == [2**62, 2**62 + 2**55, -(2**62) - 2**55, 2**63 + 2**56, 2**62]


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "f2", "", None, np.float16, 16, ["float16"]])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    with pytest.raises(sl.InvalidInputError, match="dtype: expected one of 'float32', 'float16', 'bfloat16'"):
        sl.VectorIndex(4, dtype=dtype)


@each_metric
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_past_the_range_of_float16(metric: str, source: type) -> None:
    index = sl.VectorIndex(2, metric, "float16")
    index.add(np.array([[65504, 1], [-65519.99, 2]], source))
    assert index.get([0, 1])[:, 0].tolist() == [65504, -65504]
    before = index.get(index.ids)
    for value in (65520, -65520, 1e20):
        message = "row 1: its greatest absolute value, .*, is past the range of float16, 65504; scale .* or use dtype="
        with pytest.raises(sl.InvalidInputError, match=message):
            index.add(np.array([[1, 1], [1, value]], source))
    assert same_bits(index.get(index.ids), before)


@each_metric
def test_past_the_range_of_bfloat16(metric: str) -> None:
    index = sl.VectorIndex(1, metric, "bfloat16")
    greatest = float(np.float32(2**127 * (2 - 2**-7)))
    index.add([[greatest], [3.39e38]])
    assert index.get([0, 1])[:, 0].tolist() == [greatest, greatest]
    with pytest.raises(sl.InvalidInputError, match=r"row 0: .* is past the range of bfloat16"):
        index.add(np.array([[np.finfo(np.float32).max]]))


@each_dtype
@each_metric
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_as_such(dtype: str, metric: str, bad: float) -> None:
    index = sl.VectorIndex(3, metric, dtype)
    for source in (np.float16, np.float32, np.float64):
        with pytest.raises(sl.InvalidInputError, match="row 1: expected finite float32 values, got NaN or infinity"):
            index.add(np.array([[1, 2, 3], [1, bad, 3]], source))
    assert len(index) == 0


def test_zero_once_it_is_rounded() -> None:
    tiny = [[1, 0], [2.9e-8, -2.9e-8]]  # half of the least float16 is 2.98e-8
    index = sl.VectorIndex(2, "cosine", "float16")
    with pytest.raises(sl.InvalidInputError, match="row 1: it is a zero vector once it is rounded to float16"):
        index.add(tiny)
    with pytest.raises(sl.InvalidInputError, match="row 0: expected a vector with a direction"):
        index.add([[0, 0]])
    assert len(index) == 0
    for metric, dtype in (("ip", "float16"), ("l2", "float16"), ("cosine", "bfloat16")):
        other = sl.VectorIndex(2, metric, dtype)
        other.add(tiny)
        assert (other.get([1]) == 0).all() == (dtype == "float16")


# --- life -----------------------------------------------------------------------------------------------------------


@each_dtype
def test_dtype_and_repr(dtype: str) -> None:
    index = sl.VectorIndex(3, dtype=dtype)
    assert index.dtype == dtype
    assert (dtype in repr(index)) == (dtype != "float32")
    index.add(np.ones((64, 3)))
    assert index.memory()["vectors"] == 64 * 3 * (4 if dtype == "float32" else 2)


@each_metric
@each_dtype
@pytest.mark.parametrize("mmap", [True, False])
def test_save_and_load(metric: str, dtype: str, mmap: bool, tmp_path: Path) -> None:
    rows = make_rows("mixed", 1500, 33, 3)
    index = sl.VectorIndex(33, metric, dtype)
    for part in np.array_split(rows, 10):
        index.add(part)
    index.upsert(rows[:50] * 2, np.arange(50))
    index.remove(np.arange(100, 200))
    index.save(tmp_path / "index")
    loaded = sl.VectorIndex.load(tmp_path / "index", mmap=mmap)
    assert (loaded.dtype, loaded.metric, loaded.dim) == (dtype, metric, 33)
    assert same_bits(loaded.ids, index.ids)
    assert same_bits(loaded.get(loaded.ids), index.get(index.ids))
    for got, expected in zip(loaded.search(rows[:20], 15), index.search(rows[:20], 15), strict=True):
        assert same_bits(got, expected)
    parts = loaded.memory()
    size = sum(parts[part] for part in ("vectors", "codes", "bounds", "ids"))
    assert parts["mapped"] == (size if mmap else 0)
    assert index.memory()["mapped"] == 0
    # It goes on as the dtype it is.
    loaded.add(rows[:1])
    assert same_bits(loaded.get([1500])[0], nearest(rows[0], dtype).astype(np.float32))
    loaded.compact()
    assert loaded.memory()["mapped"] == 0
    assert same_bits(loaded.get(index.ids), index.get(index.ids))


@each_metric
@each_narrow_dtype
def test_merging_and_replacing_keep_the_bits(metric: str, dtype: str) -> None:
    rows = make_rows("mixed", 900, 12, 4)
    expected = nearest(rows, dtype).astype(np.float32)
    order = np.random.default_rng(5).permutation(900)
    index = sl.VectorIndex(12, metric, dtype)
    for part in np.array_split(order, 150):
        index.add(rows[part], part)
    index.upsert(-rows[::3], np.arange(0, 900, 3))
    index.upsert(rows[::3], np.arange(0, 900, 3))
    assert same_bits(index.get(np.arange(900)), expected)
    index.compact()
    assert same_bits(index.get(np.arange(900)), expected)
    fresh = sl.VectorIndex(12, metric, dtype)
    fresh.add(rows)
    for got, want in zip(index.search(rows[:30], 20), fresh.search(rows[:30], 20), strict=True):
        assert same_bits(got, want)


# --- every kernel table ---------------------------------------------------------------------------------------------


def digest() -> str:
    """One number for the results over all dtypes, to compare between processes."""
    import hashlib

    total = hashlib.sha256()
    for metric in METRICS:
        for dtype in DTYPES:
            for kind in ("normal", "few", "denormal", "mixed"):
                rows = make_rows(kind, 700, 45, 6)
                index = sl.VectorIndex(45, metric, dtype)
                index.add(rows)
                scores, ids = index.search(rows[:9], 12)
                total.update(scores.tobytes() + ids.tobytes() + index.get(ids[0]).tobytes())
                total.update(index.score(rows[1], np.arange(700)).tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("table", sl.cpu_info()["available"])
def test_every_kernel_table_gives_the_same_bits(table: str) -> None:
    code = "import sightline as sl, test_vector_index_dtypes as t; print(sl.cpu_info()['isa'], t.digest())"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"SIGHTLINE_ISA": table, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [table, digest()]


# --- resident memory ------------------------------------------------------------------------------------------------


def resident_bytes(path: Path) -> int:
    """How much of a mapped file is resident in this process."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def report_residency(path: str) -> None:
    """Run in a process of its own: what is resident after loading, after single searches and after a batch."""
    index = sl.VectorIndex.load(path)
    figures = [resident_bytes(Path(path))]
    queries = like_embeddings(100, 256, 9)
    most = 0
    for query in queries:
        _, _, stats = index.search(query, 10, stats=True)
        most = max(most, stats["rows_exact"])
    figures.append(resident_bytes(Path(path)))
    index.search(queries, 10)
    figures.append(resident_bytes(Path(path)))
    index.get(index.ids[::50])
    figures.append(resident_bytes(Path(path)))
    parts = index.memory()
    print(most, parts["vectors"], parts["codes"], parts["bounds"] + parts["ids"], *figures)


def like_embeddings(n: int, dim: int, seed: int) -> npt.NDArray[np.float32]:
    """Rows whose energy falls off over dimensions and that lie in clusters."""
    rng = np.random.default_rng(7)
    basis = (
        np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
        * np.float32(1)
        / np.sqrt(np.arange(1, dim + 1, dtype=np.float32))
    )
    centres = rng.standard_normal((200, dim)).astype(np.float32)
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, 200, n)] + np.float32(0.5) * rng.standard_normal((n, dim), dtype=np.float32)
    return rows @ basis.T


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc/self/smaps")
def test_a_mapped_index_keeps_about_one_byte_a_dimension_resident(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = sl.VectorIndex(256)
    index.add(like_embeddings(200_000, 256, 8))
    index.save(path)
    assert path.stat().st_size > 250 * 10**6
    del index
    code = f"import test_vector_index_dtypes as t; t.report_residency({str(path)!r})"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    most, vectors, codes, bounds, *figures = map(int, done.stdout.split())
    assert most < 200_000 / 4, "the data must prune"
    assert vectors == 200_000 * 256 * 4
    assert codes == 200_000 * 256
    edges = 10 * 2**16  # pages at the ends of sections, and the section table
    loaded, *searched = figures
    assert loaded <= codes + bounds + edges
    for figure in searched:
        assert figure <= codes + bounds + edges + max(codes // 4, 32 * 2**20)
    assert searched[0] >= codes // 2, "the figures must be those of the mapped file"
