"""Where a BM25 score comes from, term by term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["BM25Explanation", "FieldContribution", "TermExplanation", "explanation_of"]


class FieldContribution(NamedTuple):
    """What one field adds to what a query term adds."""

    field: str
    tf: int  # how often the term occurs in the field
    length: int  # tokens in the field of the document
    frequency: float  # weight * tf / (1 - b + b * length / average length of the field)
    contribution: float  # the field's share of the term's contribution, in proportion to frequency


class TermExplanation(NamedTuple):
    """What one query term adds to a score."""

    term: str
    query_count: int  # how often it occurs in the query
    tf: int  # how often it occurs in the document
    df: int  # how many documents have it
    idf: float
    contribution: float  # query_count * idf * (the variant's function of tf, length and average_length)
    fields: tuple[FieldContribution, ...] = ()  # of an index with fields; the contributions add up to this one


@dataclass(frozen=True)
class BM25Explanation:
    """Where a score comes from.

    ``score`` is the sum of the contributions, added in order in float64 and rounded once to float32, and of an index
    with fields every contribution is the sum of those of its fields. (Where a search adds in another order, the last
    contribution holds the difference, in the 16th digit.) All are 0 for a document that has no term of the query, or
    does not meet its clauses.
    """

    score: float
    length: int  # tokens in the document, of all fields
    average_length: float
    document_count: int
    terms: tuple[TermExplanation, ...]  # every distinct query term, in query order


def explanation_of(parts: dict[str, Any], fields: list[str] | None) -> BM25Explanation:
    """Return what the core's ``explain`` gave as an explanation; fields: their names, None for an index without."""
    if fields is None:
        return BM25Explanation(terms=tuple(TermExplanation(*term) for term in parts.pop("terms")), **parts)
    terms = []
    for term, query_count, df, idf, contribution, of_fields in parts["terms"]:
        shares = tuple(FieldContribution(name, *part) for name, part in zip(fields, of_fields, strict=True))
        tf = sum(share.tf for share in shares)
        terms.append(TermExplanation(term, query_count, tf, df, idf, contribution, shares))
    return BM25Explanation(
        score=parts["score"],
        length=sum(parts["lengths"]),
        average_length=sum(parts["average_lengths"]),
        document_count=parts["document_count"],
        terms=tuple(terms),
    )
