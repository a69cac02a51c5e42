"""Evaluation: how well an index answers judged queries, and whether one setting is better than another.

Measures are computed by ir-measures (extra ``eval``), so figures compare with published ones. Hits are ranked as the
index returns them: ties keep its order, where trec_eval would sort them by document id.

Source:     M. Smucker, J. Allan, B. Carterette, A comparison of statistical significance tests for information
            retrieval evaluation, 2007 (the randomisation test)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.datasets import Qrels, read_qrels, read_queries
from sightline.documents import Hit
from sightline.errors import InvalidInputError, MissingExtraError, checked_integer
from sightline.selection import value_at

__all__ = ["MEASURES", "Comparison", "Evaluation", "evaluate", "split_queries"]

MEASURES = ("nDCG@10", "R@100", "P@10", "RR@10", "AP@100")
_BATCH = 64  # queries searched at a time
_EXACT = 16  # up to so many differing queries, all sign patterns are tried
_SAMPLES = 100_000
_SAMPLE_BLOCK = 1_000
_RESAMPLES = 2_000


class _Index(Protocol):
    @property
    def search(self) -> Callable[..., Any]: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """Say how one setting differs from another on the same queries.

    Parameters: measure : its name; base, other : the settings; difference : mean of ``other`` minus mean of ``base``;
                p_value : two-sided, paired randomisation test; wins, losses, ties : queries where ``other`` is better,
                worse, equal; differences : by query, the greatest gain first
    """

    measure: str
    base: str
    other: str
    difference: float
    p_value: float
    wins: int
    losses: int
    ties: int
    differences: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, without the single queries."""
        names = ("measure", "base", "other", "difference", "p_value", "wins", "losses", "ties")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hold the scores of one or several settings on the same queries.

    Parameters: measures : their names; scores : by setting, measure and query; runs : by setting and query the
                (document id, score) pairs, best first, as ``sightline.datasets.write_run`` takes them
    """

    measures: tuple[str, ...]
    scores: dict[str, dict[str, dict[str, float]]]
    runs: dict[str, dict[str, list[tuple[str, float]]]]

    @property
    def query_ids(self) -> list[str]:
        """The judged queries."""
        return list(next(iter(self.runs.values())))

    def mean(self, setting: str, measure: str) -> float:
        """Return the mean of a measure over all judged queries; one without hits counts as 0.

        Parameters: setting : a name among ``scores``; measure : a name among ``measures``
        Raises:     InvalidInputError for an unknown setting or measure
        """
        return float(np.mean(list(self._values(setting, measure).values())))

    def means(self) -> dict[str, dict[str, float]]:
        """Return the means by setting and measure."""
        return {name: {measure: self.mean(name, measure) for measure in self.measures} for name in self.scores}

    def interval(self, setting: str, measure: str, *, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """Return where the mean would lie with other queries of the same kind: a percentile bootstrap over queries.

        Parameters: setting, measure : as in the tables; confidence : above 0 and below 1; seed : of the resampling
        Returns:    (low, high)
        Raises:     InvalidInputError for another confidence, an unknown setting or measure
        """
        if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
            raise InvalidInputError(f"confidence: expected a number above 0 and below 1, got {confidence!r}")
        values = np.array(list(self._values(setting, measure).values()))
        random = np.random.default_rng(seed)
        means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(_RESAMPLES)]
        low, high = np.percentile(means, [50 * (1 - confidence), 50 * (1 + confidence)])
        return float(low), float(high)

    def restricted(self, query_ids: Iterable[str]) -> Evaluation:
        """Return the evaluation on some of the queries, such as one side of ``split_queries``.

        Parameters: query_ids : ids of judged queries
        Raises:     InvalidInputError if none is left, or one is not judged
        """
        wanted = list(query_ids)
        known = set(self.query_ids)
        unknown = [name for name in wanted if name not in known]
        if unknown or not wanted:
            raise InvalidInputError(
                f"query_ids: {unknown[0]!r} was not evaluated" if unknown else "query_ids: expected at least one"
            )
        return Evaluation(
            self.measures,
            {
                setting: {measure: {q: values[q] for q in wanted} for measure, values in by_measure.items()}
                for setting, by_measure in self.scores.items()
            },
            {setting: {q: run[q] for q in wanted} for setting, run in self.runs.items()},
        )

    def compare(self, base: str, other: str, measure: str | None = None, *, seed: int = 0) -> Comparison:
        """Compare two settings by a paired randomisation test on a measure, default the first one.

        Under the null hypothesis either setting may have produced either score of a query, so the sign of each
        difference is a coin. All patterns of signs are tried where at most 16 queries differ, else 100,000 random ones.
        O(100,000 * queries): some seconds for a thousand.

        Parameters: base, other : names of settings; measure : its name; seed : of the random patterns
        Returns:    Comparison
        Raises:     InvalidInputError for an unknown setting or measure
        """
        measure = self.measures[0] if measure is None else measure
        first, second = self._values(base, measure), self._values(other, measure)
        difference = {query: second[query] - first[query] for query in first}
        values = np.array(list(difference.values()))
        return Comparison(
            measure,
            base,
            other,
            float(values.mean()),
            _randomisation_test(values, seed),
            int((values > 0).sum()),
            int((values < 0).sum()),
            int((values == 0).sum()),
            dict(sorted(difference.items(), key=lambda item: -item[1])),
        )

    def _values(self, setting: str, measure: str) -> dict[str, float]:
        if setting not in self.scores:
            raise InvalidInputError(f"setting: expected one of {', '.join(self.scores)}, got {setting!r}")
        if measure not in self.scores[setting]:
            raise InvalidInputError(f"measure: expected one of {', '.join(self.measures)}, got {measure!r}")
        return self.scores[setting][measure]


def evaluate(
    index: _Index,
    queries: Mapping[str, str] | str | Path,
    qrels: Mapping[str, Mapping[str, int]] | str | Path,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    measures: Sequence[str] = MEASURES,
    k: int = 100,
    vectors: Mapping[str, Any] | None = None,
    judged_by: str | None = None,
    ignore_identical_ids: bool = False,
) -> Evaluation:
    """Search an index for judged queries, in one or several settings, and measure the answers.

    Costs one search per judged query and setting.

    Parameters: index : HybridIndex or a scoped view; queries : texts by id, or a file (BEIR JSON lines, TREC topics,
                id-tab-text); qrels : grades by query and document, or a file (BEIR or TREC); settings : options of
                ``HybridIndex.search`` by a name of yours, default ``{"default": {}}``; measures : as ir-measures names
                them; k : hits to retrieve; vectors : of the queries by id, default the index's embedder; judged_by :
                metadata field whose values the judgments name in place of ids, such as ``source`` for chunks of
                documents: the best hit of each value counts, and k counts values; ignore_identical_ids :
                leave out a document that has the query's id, as BEIR does for some sets
    Returns:    Evaluation
    Raises:     MissingExtraError without ir-measures; InvalidInputError for judgments of unknown queries, an unknown
                measure, or as ``HybridIndex.search``
    """
    parsed = _parse_measures(measures)
    depth = checked_integer("k", k, 1)
    texts = read_queries(queries) if isinstance(queries, (str, Path)) else dict(queries)
    judged: Qrels = (
        read_qrels(qrels) if isinstance(qrels, (str, Path)) else {q: dict(grades) for q, grades in qrels.items()}
    )
    if not judged:
        raise InvalidInputError("qrels: expected judgments of at least one query, got none")
    missing = [query for query in judged if query not in texts]
    if missing:
        raise InvalidInputError(f"qrels: judges query {missing[0]!r}, which queries does not have")
    if vectors is not None:
        missing = [query for query in judged if query not in vectors]
        if missing:
            raise InvalidInputError(f"vectors: has none for query {missing[0]!r}")
    chosen = {"default": {}} if settings is None else {name: dict(options) for name, options in settings.items()}
    if not chosen:
        raise InvalidInputError("settings: expected at least one, got none")
    runs = {
        name: _run(
            index,
            {q: texts[q] for q in judged},
            depth,
            vectors,
            _grouped(options, judged_by),
            judged_by,
            ignore_identical_ids,
        )
        for name, options in chosen.items()
    }
    scores = {name: _scores(parsed, judged, run) for name, run in runs.items()}
    return Evaluation(tuple(str(measure) for measure in parsed), scores, runs)


def split_queries(query_ids: Iterable[str], held_out: float = 0.5, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Split queries for tuning and for the final figures.

    The order is that of a hash of seed and id, so it is the same on every machine, and a query stays on its side when
    others come or go, but for a few at the border.

    Parameters: query_ids : their ids, repeated ones count once; held_out : share of the queries to keep for the end,
                above 0 and below 1
    Returns:    (to tune on, held out), neither empty, each in the given order
    Raises:     InvalidInputError for another share, or fewer than two queries
    """
    names = list(dict.fromkeys(query_ids))
    if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
        raise InvalidInputError(f"held_out: expected a number above 0 and below 1, got {held_out!r}")
    if len(names) < 2:
        raise InvalidInputError(f"query_ids: expected at least two different ones, got {len(names)}")
    by_hash = sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    count = min(max(round(held_out * len(names)), 1), len(names) - 1)
    kept = set(by_hash[:count])
    return [name for name in names if name not in kept], [name for name in names if name in kept]


def _grouped(options: Mapping[str, Any], judged_by: str | None) -> Mapping[str, Any]:
    if judged_by is None:
        return options
    for name, expected in (("group_by", judged_by), ("per_group", 1)):
        if options.get(name, expected) != expected:
            raise InvalidInputError(f"{name}: judged_by={judged_by!r} asks for {expected!r}, got {options[name]!r}")
    return {**options, "group_by": judged_by}


def _run(
    index: _Index,
    texts: Mapping[str, str],
    k: int,
    vectors: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    judged_by: str | None,
    ignore_identical_ids: bool,
) -> dict[str, list[tuple[str, float]]]:
    names = list(texts)
    run: dict[str, list[tuple[str, float]]] = {}
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        given = dict(options)
        if vectors is not None and given.get("mode") != "lexical":
            given["vector"] = np.stack([np.asarray(vectors[name]) for name in batch])
        found = index.search([texts[name] for name in batch], k + ignore_identical_ids, **given)
        for name, hits in zip(batch, found, strict=True):
            ranked = [(_judged_name(hit, judged_by), _score(hit)) for hit in hits]
            run[name] = [each for each in ranked if not (ignore_identical_ids and each[0] == name)][:k]
    return run


def _judged_name(hit: Hit, judged_by: str | None) -> str:
    value = None if judged_by is None else value_at(hit.metadata, judged_by)
    return hit.id if value is None else str(value)


def _score(hit: Hit) -> float:
    return hit.score if hit.rerank_score is None else hit.rerank_score


def _parse_measures(names: Sequence[str]) -> list[Any]:
    try:
        import ir_measures
    except ImportError:
        raise MissingExtraError("evaluate needs ir-measures: pip install 'sightline[eval]'") from None
    if isinstance(names, str) or not names:
        raise InvalidInputError(f"measures: expected a list of names such as 'nDCG@10', got {names!r}")
    return [_parse_measure(ir_measures, name) for name in names]


def _parse_measure(ir_measures: Any, name: str) -> Any:
    try:
        return ir_measures.parse_measure(name)
    except (ValueError, NameError, TypeError):
        raise InvalidInputError(f"measures: {name!r} is unknown to ir-measures; try {', '.join(MEASURES)}") from None


def _scores(
    measures: list[Any], qrels: Qrels, run: Mapping[str, list[tuple[str, float]]]
) -> dict[str, dict[str, float]]:
    """Return each measure of each judged query; one without hits scores 0."""
    import ir_measures  # which _parse_measures found

    # Ranks instead of scores: trec_eval sorts by score and breaks ties its own way.
    ranked = {
        query: {document: float(len(hits) - rank) for rank, (document, _) in enumerate(hits)}
        for query, hits in run.items()
        if hits
    }
    scores: dict[str, dict[str, float]] = {str(measure): dict.fromkeys(qrels, 0.0) for measure in measures}
    if ranked:
        for metric in ir_measures.iter_calc(measures, qrels, ranked):
            scores[str(metric.measure)][metric.query_id] = float(metric.value)
    return scores


def _randomisation_test(differences: NDArray[np.float64], seed: int) -> float:
    values = differences[differences != 0]
    if not len(values):
        return 1.0
    observed = abs(values.sum())
    slack = 1e-12 * np.abs(values).sum()  # sums of the same terms in another order
    if len(values) <= _EXACT:
        patterns = (np.arange(1 << len(values))[:, None] >> np.arange(len(values))) & 1
        sums = np.abs((2.0 * patterns - 1.0) @ values)
        return float(np.mean(sums >= observed - slack))
    random = np.random.default_rng(seed)
    reached = 0
    for _ in range(_SAMPLES // _SAMPLE_BLOCK):
        signs = random.integers(0, 2, size=(_SAMPLE_BLOCK, len(values)), dtype=np.int8)
        sums = np.abs((2.0 * signs - 1.0) @ values)
        reached += int((sums >= observed - slack).sum())
    return (reached + 1) / (_SAMPLES + 1)  # the observed pattern is one of the possible ones
