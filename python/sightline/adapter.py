"""A low-rank adapter of query vectors: W' = I + B A, fitted on judged queries, so that no document is embedded again.

Source:     E. Hu et al., LoRA: low-rank adaptation of large language models, 2021 (the form);
            A. van den Oord et al., Representation learning with contrastive predictive coding, 2018 (the loss);
            D. Kingma, J. Ba, Adam, 2015 (the steps)
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sightline.documents import float_array
from sightline.errors import (
    CorruptIndexError,
    InvalidInputError,
    NotImprovedError,
    StorageError,
    checked_integer,
)
from sightline.evaluation import split_queries

__all__ = ["AdaptedEmbedder", "AdapterReport", "LowRankAdapter"]

_Matrix = NDArray[np.float32]

_DEPTH = 10  # of the nDCG that decides
_BATCH = 128
_NEGATIVES = 4096  # documents beside the relevant ones that a batch is told apart from
_PATIENCE = 5  # epochs without gain before fitting stops
_LEARNING_RATE = 1e-3
_DECAY = (0.9, 0.999)  # of Adam's two means
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """Say what the adapter did for queries that it was not fitted on.

    Most of a gain is often that of documents which answer fitted and held-out queries alike. The ``new`` figures leave
    them out: they are of held-out queries no relevant document of which is relevant to a fitted one.

    Parameters: before, after : mean nDCG@10 of the held-out queries; held_out : how many; new_before, new_after : of
                those about new documents, None if there is none; new : how many; fitted : how many others; epochs :
                passes over the queries, chosen by the held-out ones (so ``after`` is slightly optimistic)
    """

    before: float
    after: float
    held_out: int
    new_before: float | None
    new_after: float | None
    new: int
    fitted: int
    epochs: int


class LowRankAdapter:
    """Turn query vectors towards the documents that answered such queries: v + B (A v).

    Costs 2 * rank * dim multiplications a query, and 8 * rank * dim bytes. Documents stay as they are.

    Parameters: a : (rank, dim); b : (dim, rank); report : of the fit
    Raises:     InvalidInputError if the shapes do not fit each other, or a number is not finite
    """

    def __init__(self, a: Any, b: Any, report: AdapterReport | None = None) -> None:
        self.a = float_array(a, "a", "numbers of shape (rank, dim)", np.float32)
        self.b = float_array(b, "b", "numbers of shape (dim, rank)", np.float32)
        if self.a.ndim != 2 or self.b.shape != self.a.shape[::-1] or not self.a.size:
            raise InvalidInputError(f"b: expected the shape of a turned round, got {self.a.shape} and {self.b.shape}")
        if not (np.isfinite(self.a).all() and np.isfinite(self.b).all()):
            raise InvalidInputError("a, b: hold NaN or infinity")
        self.report = report

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return int(self.a.shape[1])

    @property
    def rank(self) -> int:
        """The rank of the change."""
        return int(self.a.shape[0])

    def __call__(self, vectors: Any) -> _Matrix:
        """Adapt query vectors.

        Parameters: vectors : (dim,) or (q, dim)
        Returns:    float32 of the same shape, not normalised
        Raises:     InvalidInputError for another dimension
        """
        rows = float_array(vectors, "vectors", "numbers", np.float32)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.dim:
            raise InvalidInputError(f"vectors: expected shape ({self.dim},) or (q, {self.dim}), got {rows.shape}")
        adapted: _Matrix = rows + (rows @ self.a.T) @ self.b.T
        return adapted

    def wrap(self, embedder: Callable[[list[str]], Any]) -> AdaptedEmbedder:
        """Return an embedder for HybridIndex that adapts queries and leaves documents as they are.

        Parameters: embedder : callable (list of str) -> array (n, dim)
        Returns:    AdaptedEmbedder
        Raises:     InvalidInputError if it is not callable
        """
        return AdaptedEmbedder(embedder, self)

    @classmethod
    def fit(
        cls,
        queries: Mapping[str, Any],
        documents: Mapping[str, Any],
        qrels: Mapping[str, Mapping[str, int]],
        *,
        rank: int = 32,
        temperature: float = 0.05,
        epochs: int = 30,
        held_out: float = 0.2,
        min_gain: float = 0.0,
        seed: int = 0,
    ) -> LowRankAdapter:
        """Fit an adapter on judged queries, and refuse it if it does not help queries that it has not seen.

        A share of the queries is held out; the others are fitted by a softmax over cosines of the relevant documents
        and up to 4,096 others, for as many epochs as help the held-out ones most without loss for those of them that
        are about new documents (see AdapterReport). Then all queries are fitted for so many.
        O(epochs * queries * min(documents, 4096 + batch) * dim), and a search of the held-out queries each epoch.

        Parameters: queries, documents : vectors by id; qrels : grades by query and document, relevant if above 0,
                    others are ignored; rank : 1 to dim; temperature : of the softmax; epochs : at most; held_out :
                    share above 0 and below 1; min_gain : of nDCG@10 on the held-out queries; seed : of the start
        Returns:    LowRankAdapter with its report
        Raises:     NotImprovedError, with the figures, if the gain is not above ``min_gain``; InvalidInputError if an
                    argument does not fit, or there are fewer than two queries
        """
        data = _Data(queries, documents, qrels)
        wanted = checked_integer("rank", rank, 1, data.dim)
        limit = checked_integer("epochs", epochs, 1)
        for name, value, most in (("temperature", temperature, 10.0), ("held_out", held_out, 1.0)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < most:
                raise InvalidInputError(f"{name}: expected a number above 0 and below {most:g}, got {value!r}")
        fitted, kept, new = data.split(held_out, checked_integer("seed", seed, 0))
        before = (data.ndcg(kept, None), data.ndcg(new, None))
        best, best_epoch = before, 0
        fit = _Fit(data, wanted, float(temperature), seed)
        for epoch in range(1, limit + 1):
            fit.epoch(fitted)
            after = (data.ndcg(kept, fit.adapter()), data.ndcg(new, fit.adapter()))
            if after[0] > best[0] and after[1] >= before[1]:
                best, best_epoch = after, epoch
            if epoch - best_epoch >= _PATIENCE:
                break
        news = best[1] if new else None, before[1] if new else None
        report = AdapterReport(before[0], best[0], len(kept), news[1], news[0], len(new), len(fitted), best_epoch)
        if best[0] - before[0] <= min_gain:
            raise NotImprovedError(
                f"the adapter does not help: nDCG@{_DEPTH} of {len(kept)} held-out queries {before[0]:.4f} without it, "
                f"{best[0]:.4f} with it, no loss for the {len(new)} about new documents allowed; it takes a gain of "
                f"more than {min_gain:g}. More judged queries may help"
            )
        final = _Fit(data, wanted, float(temperature), seed)
        for _ in range(best_epoch):
            final.epoch([*fitted, *kept])
        adapter = final.adapter()
        return cls(adapter.a, adapter.b, report)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the adapter to one file (NumPy's .npz, without pickle), such as one beside the index.

        Parameters: path : file, replaced if it exists (in place: a crash can leave half of it)
        Raises:     StorageError if the file cannot be written
        """
        # NaN stands for None.
        report = [] if self.report is None else [np.nan if v is None else v for v in asdict(self.report).values()]
        try:
            with Path(path).open("wb") as file:
                np.savez(file, format=_FORMAT, a=self.a, b=self.b, report=np.array(report, dtype=np.float64))
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from None

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` reads; matrices as base64 of their little-endian float32."""
        return {
            "format": _FORMAT,
            "rank": self.rank,
            "a": base64.b64encode(self.a.astype("<f4").tobytes()).decode(),
            "b": base64.b64encode(self.b.astype("<f4").tobytes()).decode(),
            "report": None if self.report is None else asdict(self.report),
        }

    @classmethod
    def from_json(cls, stored: Any) -> LowRankAdapter:
        """Return the adapter that ``to_json`` described.

        Parameters: stored : what ``to_json`` returned
        Raises:     ValueError, TypeError or KeyError (InvalidInputError among them) for anything else
        """
        if stored["format"] != _FORMAT:
            raise ValueError(f"expected an adapter of format {_FORMAT}, got {stored['format']!r}")
        rank = int(stored["rank"])
        a, b = (np.frombuffer(base64.b64decode(stored[name], validate=True), dtype="<f4") for name in ("a", "b"))
        report = stored["report"]
        return cls(a.reshape(rank, -1), b.reshape(-1, rank), None if report is None else AdapterReport(**report))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LowRankAdapter:
        """Return the adapter of a file, with its report.

        Parameters: path : file that ``save`` wrote
        Raises:     StorageError if the file cannot be read; CorruptIndexError if it is no adapter
        """
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT:
                    raise CorruptIndexError(f"{path}: expected an adapter of format {_FORMAT}, got {file['format']}")
                a, b, values = file["a"], file["b"], file["report"].tolist()
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
            raise CorruptIndexError(f"{path}: is no adapter: {error}") from None
        report = None
        if len(values) == len(fields(AdapterReport)):
            before, after, held_out, *news, new, fitted, epochs = values
            first, second = (None if np.isnan(value) else value for value in news)
            report = AdapterReport(before, after, int(held_out), first, second, int(new), int(fitted), int(epochs))
        return cls(a, b, report)


class AdaptedEmbedder:
    """Embed documents as before, and queries through an adapter."""

    def __init__(self, embedder: Callable[[list[str]], Any], adapter: LowRankAdapter) -> None:
        if not callable(embedder):
            raise InvalidInputError(f"embedder: expected a callable, got {type(embedder).__name__}")
        self._embedder = embedder
        self._adapter = adapter

    def __call__(self, texts: list[str]) -> Any:
        """Return the vectors of documents."""
        return self._embedder(texts)

    def embed_queries(self, queries: list[str]) -> _Matrix:
        """Return the adapted vectors of queries."""
        from sightline.embed import embed_queries

        return self._adapter(embed_queries(self._embedder, queries))


class _Data:
    """Judged queries and documents as unit rows; ``relevant`` holds rows of documents by row of query."""

    def __init__(
        self,
        queries: Mapping[str, Any],
        documents: Mapping[str, Any],
        qrels: Mapping[str, Mapping[str, int]],
    ) -> None:
        row_of = {name: row for row, name in enumerate(documents)}
        self.names: list[str] = []
        self.relevant: list[list[int]] = []
        for query, grades in qrels.items():
            unknown = [name for name, grade in grades.items() if grade > 0 and name not in row_of]
            if unknown:
                raise InvalidInputError(f"qrels: query {query!r} names document {unknown[0]!r}, which has no vector")
            found = [row_of[name] for name, grade in grades.items() if grade > 0]
            if found:
                if query not in queries:
                    raise InvalidInputError(f"qrels: judges query {query!r}, which has no vector")
                self.names.append(query)
                self.relevant.append(found)
        if not self.names:
            raise InvalidInputError("qrels: expected at least one query with a relevant document, got none")
        self.queries = _unit("queries", [queries[name] for name in self.names])
        self.documents = _unit("documents", list(documents.values()))
        if self.queries.shape[1] != self.documents.shape[1]:
            raise InvalidInputError(
                f"queries: have {self.queries.shape[1]} dimensions, documents {self.documents.shape[1]}"
            )

    @property
    def dim(self) -> int:
        return int(self.documents.shape[1])

    def split(self, held_out: float, seed: int) -> tuple[list[int], list[int], list[int]]:
        """Return queries to fit, those held out, and those of the latter whose relevant documents are all new."""
        names, kept_names = split_queries(self.names, held_out, seed=seed)
        row_of = {name: row for row, name in enumerate(self.names)}
        fitted, kept = [row_of[name] for name in names], [row_of[name] for name in kept_names]
        known = {document for row in fitted for document in self.relevant[row]}
        return fitted, kept, [row for row in kept if not known.intersection(self.relevant[row])]

    def ndcg(self, rows: Sequence[int], adapter: LowRankAdapter | None) -> float:
        """Return the mean nDCG@10 with binary grades, over all documents; 0 for no queries."""
        if not rows:
            return 0.0
        vectors = self.queries[list(rows)]
        if adapter is not None:
            vectors = adapter(vectors)
        depth = min(_DEPTH, len(self.documents))
        discount = 1.0 / np.log2(np.arange(2, depth + 2))
        total = 0.0
        for start in range(0, len(rows), _BATCH):
            scores = vectors[start : start + _BATCH] @ self.documents.T
            best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
            for row, candidates, values in zip(rows[start : start + _BATCH], best, scores, strict=True):
                ranked = candidates[np.lexsort((candidates, -values[candidates]))]
                gains = np.isin(ranked, self.relevant[row])
                total += float((gains * discount).sum() / discount[: len(self.relevant[row])].sum())
        return total / len(rows)


class _Fit:
    """The weights while they are fitted, by Adam on the gradient of the contrastive loss."""

    def __init__(self, data: _Data, rank: int, temperature: float, seed: int) -> None:
        self._data = data
        self._temperature = temperature
        self._random = np.random.default_rng(seed)
        # B starts at zero, so the first adapter is the identity.
        a = self._random.normal(0.0, 1.0 / np.sqrt(data.dim), (rank, data.dim)).astype(np.float32)
        self._weights = [a, np.zeros((data.dim, rank), dtype=np.float32)]
        self._first = [np.zeros_like(weight) for weight in self._weights]
        self._second = [np.zeros_like(weight) for weight in self._weights]
        self._steps = 0

    def adapter(self) -> LowRankAdapter:
        a, b = self._weights
        return LowRankAdapter(a, b)

    def epoch(self, rows: Sequence[int]) -> None:
        """Pass once over (query, relevant document) pairs, in random order."""
        pairs = np.array([(row, document) for row in rows for document in self._data.relevant[row]])
        for start in range(0, len(pairs), _BATCH):
            if start == 0:
                pairs = self._random.permutation(pairs)
            self._step(pairs[start : start + _BATCH])

    def _step(self, pairs: NDArray[np.int64]) -> None:
        documents = self._data.documents
        count = len(documents)
        sample = np.arange(count)
        if count > _NEGATIVES:
            sample = np.union1d(self._random.choice(count, _NEGATIVES, replace=False), pairs[:, 1])
        candidates = documents[sample]
        targets = np.searchsorted(sample, pairs[:, 1])
        a, b = self._weights
        queries = self._data.queries[pairs[:, 0]]
        hidden = queries @ a.T
        adapted = queries + hidden @ b.T
        norms = np.linalg.norm(adapted, axis=1, keepdims=True)
        unit = adapted / norms
        scores = (unit @ candidates.T) / self._temperature
        # A query's other relevant documents are no negatives.
        for row, (query, document) in enumerate(pairs.tolist()):
            others = [other for other in self._data.relevant[query] if other != document]
            scores[row, np.isin(sample, others)] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        share = np.exp(scores)
        share /= share.sum(axis=1, keepdims=True)
        share[np.arange(len(pairs)), targets] -= 1.0
        at_unit = (share @ candidates) / (self._temperature * len(pairs))
        at_adapted = (at_unit - (at_unit * unit).sum(axis=1, keepdims=True) * unit) / norms
        self._update([(at_adapted @ b).T @ queries, at_adapted.T @ hidden])

    def _update(self, gradients: list[_Matrix]) -> None:
        self._steps += 1
        slow, slower = _DECAY
        for position, gradient in enumerate(gradients):
            first, second = self._first[position], self._second[position]
            first *= slow
            first += (1 - slow) * gradient
            second *= slower
            second += (1 - slower) * gradient * gradient
            step = (first / (1 - slow**self._steps)) / (np.sqrt(second / (1 - slower**self._steps)) + 1e-8)
            self._weights[position] = (self._weights[position] - _LEARNING_RATE * step).astype(np.float32)


def _unit(name: str, vectors: list[Any]) -> _Matrix:
    rows = float_array(np.stack([np.asarray(v) for v in vectors]) if vectors else [], name, "vectors", np.float32)
    if rows.ndim != 2 or not rows.size:
        raise InvalidInputError(f"{name}: expected at least one vector of shape (dim,), got shape {rows.shape}")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise InvalidInputError(f"{name}: a vector is all zeros, or holds NaN or infinity")
    unit: _Matrix = rows / norms
    return unit
