"""Exact answers in float64, and the recall of what engines found: correctness comes before speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

__all__ = ["BM25Truth", "DenseTruth", "Truth", "WrongAnswer", "fused_truth", "ndcg"]

_ROWS = 65536
# Scores are at most about 1 (cosines) or some tens (BM25). An engine that adds up in float32 may swap rows closer than
# this, which is the most that its rounding explains; it is not an error of its search.
_TOLERANCE = 2e-6


class WrongAnswer(SystemExit):
    """An engine that promises exact answers gave another one: the run ends, with exit code 1."""


class Truth:
    """The exact scores that decide: of the first queries, for any row."""

    def __init__(self, tops: Sequence[tuple[Floats64, Ids]], score: Callable[[int, Ids], Floats64]) -> None:
        self._tops = tops
        self._score = score

    def __len__(self) -> int:
        return len(self._tops)

    def recall(self, found: Ids, k: int) -> float:
        """The share of the true top k that was found, a row that ties with the last one (to rounding) counting as one.

        Rows found twice count once; a query with fewer than k answers is judged by those it has.
        """
        shares = []
        for query, (scores, _) in enumerate(self._tops):
            expected = min(k, len(scores))
            if expected == 0:
                continue
            ids = np.unique(found[query][found[query] >= 0])
            least = scores[expected - 1]
            good = self._score(query, ids) >= least - _TOLERANCE * max(1.0, abs(least))
            shares.append(min(int(good.sum()), expected) / expected)
        return float(np.mean(shares)) if shares else 1.0

    def check_identical(self, found: Ids, k: int, name: str) -> None:
        """Raise unless the ids are the true ones in the true order, ties by ascending id."""
        for query, (_, ids) in enumerate(self._tops):
            got = found[query][found[query] >= 0]
            if not np.array_equal(got, ids[:k]):
                raise WrongAnswer(f"WRONG ANSWER: {name}, query {query}: got ids {got}, true ones {ids[:k]}")


class DenseTruth(Truth):
    """Brute force in float64 over inner products, rounded to float32 before ties are broken by ascending id.

    ``allowed``: only these rows, ascending.
    """

    def __init__(
        self, rows: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], k: int, allowed: Ids | None = None
    ) -> None:
        wide = queries.astype(np.float64)
        members = np.arange(len(rows)) if allowed is None else allowed
        scores = np.empty((len(queries), len(members)), dtype=np.float32)
        for start in range(0, len(members), _ROWS):
            part = members[start : start + _ROWS]
            block = rows[part[0] : part[-1] + 1] if allowed is None else rows[part]
            scores[:, start : start + len(part)] = wide @ block.astype(np.float64).T
        tops = []
        for row in scores:
            values, at = _top(row.astype(np.float64), k)
            tops.append((values, members[at]))

        def score(query: int, ids: Ids) -> Floats64:
            exact = rows[ids].astype(np.float64) @ wide[query]
            if allowed is not None:
                exact[~np.isin(ids, allowed)] = -np.inf
            return exact

        super().__init__(tops, score)


class BM25Truth(Truth):
    """BM25 in the form of Lucene (k1 = 1.2, b = 0.75) over token lists, added up in float64.

    Source:     S. Robertson, H. Zaragoza, The probabilistic relevance framework, 2009; idf as in Lucene
    """

    def __init__(self, documents: Sequence[Sequence[str]], queries: Sequence[Sequence[str]], k: int) -> None:
        numbers: dict[str, int] = {}
        flat = np.array(
            [numbers.setdefault(word, len(numbers)) for words in documents for word in words], dtype=np.int64
        )
        lengths = np.array([len(words) for words in documents], dtype=np.int64)
        count = len(documents)
        # A posting is a (term, document) pair; sorted, the postings of a term lie side by side.
        pairs, tf = np.unique(flat * count + np.repeat(np.arange(count), lengths), return_counts=True)
        terms, rows = np.divmod(pairs, count)
        starts = np.searchsorted(terms, np.arange(len(numbers) + 1))
        norm = 1.2 * (1 - 0.75 + 0.75 * lengths / max(lengths.mean(), 1e-9))
        self.scores = np.zeros((len(queries), count))
        self.postings = np.zeros(len(queries), dtype=np.int64)
        for query, words in enumerate(queries):
            for word in words:
                if word not in numbers:
                    continue
                part = slice(starts[numbers[word]], starts[numbers[word] + 1])
                df = part.stop - part.start
                idf = np.log(1 + (count - df + 0.5) / (df + 0.5))
                self.scores[query, rows[part]] += idf * tf[part] / (tf[part] + norm[rows[part]])
                self.postings[query] += df
        super().__init__([_top(row, k, above=0.0) for row in self.scores], lambda query, ids: self.scores[query, ids])


def fused_truth(dense: Floats64, lexical: Floats64, k: int, allowed: Sequence[Ids] | None = None) -> Truth:
    """Convex fusion with its default parameters, of full score matrices (queries, documents): nothing is left out."""
    scale = 5.5 * np.log(1 + dense.shape[1])
    fused = 0.5 * dense + 0.5 * lexical / scale
    if allowed is not None:
        for row, ids in zip(fused, allowed, strict=True):
            outside = np.ones(len(row), dtype=bool)
            outside[ids] = False
            row[outside] = -np.inf
    return Truth([_top(row, k, above=-np.inf) for row in fused], lambda query, ids: fused[query, ids])


def _top(scores: Floats64, k: int, above: float | None = None) -> tuple[Floats64, Ids]:
    """The k best by score descending, then id ascending; only scores greater than ``above``."""
    at = np.arange(len(scores)) if above is None else np.flatnonzero(scores > above)
    if len(at) > k:
        least = np.partition(scores[at], -k)[-k]
        at = at[scores[at] >= least]
    order = np.lexsort((at, -scores[at]))[:k]
    return scores[at[order]], at[order]


def ndcg(found: Sequence[str], grades: dict[str, int], k: int) -> float:
    """nDCG at k with linear gains: what TREC's programs print.

    Source:     K. Jarvelin, J. Kekalainen, Cumulated gain-based evaluation of IR techniques, 2002
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gains = np.array([max(0, grades.get(name, 0)) for name in found[:k]], dtype=np.float64)
    ideal = np.sort([max(0, grade) for grade in grades.values()])[::-1][:k]
    best = float(ideal @ discounts[: len(ideal)])
    return float(gains @ discounts[: len(gains)]) / best if best else 0.0
