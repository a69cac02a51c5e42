"""Documents that go in, hits that come out, and the checks between a caller's data and the index."""

from __future__ import annotations

import datetime
import math
import sys
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline import _core
from sightline.errors import InvalidInputError

__all__ = [
    "Content",
    "Document",
    "Hit",
    "copy_plain",
    "document_id",
    "encodable",
    "float_array",
    "has_words",
    "hits_of",
    "joined_text",
    "lexical_item",
    "parsed_documents",
    "python_scalar",
    "read_documents",
    "searched_text",
]

_Float = TypeVar("_Float", np.float32, np.float64)

_FIELDS = ("id", "text", "metadata", "vector", "title")  # in the order of Document's
# Metadata deeper than this is refused: it is almost always a cycle, and nobody filters on it.
_MAX_DEPTH = 16
# Filters compare integers exactly as a sum of two float64, which covers all 64-bit identifiers with room to spare.
_MAX_INTEGER = 2**64


@dataclass(frozen=True, slots=True)
class Document:
    """Hold one document to index, or one that ``HybridIndex.get`` returns.

    What is searched is ``title + " " + text``. Equality leaves the vector out.

    Parameters: id : non-empty str, unique in an index; text : str, may be empty (the document is then found by its
                title or vector only); metadata : dict of JSON values (dates and datetimes are kept as ISO strings,
                NumPy scalars as Python's), keys must not begin with ``$``; vector : 1-D array-like, else the index's
                embedder makes it, and ``get`` leaves it None; title : str
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: Any = field(default=None, compare=False, repr=False)
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """Hold one answer of a search, with every score it was made of.

    ``score`` is what retrieval ordered by: the fused score in hybrid mode, else the score of that one engine. Where a
    reranker ran, hits come in the order of ``rerank_score`` and ``score`` stays what retrieval said.

    Parameters: id, text, title, metadata : of the document, copies; rank : 1 for the best; dense_score : cosine in [-1,
                1], None without a vector or in lexical mode; lexical_score : BM25, 0.0 if no query term occurs, None in
                dense mode; rerank_score : None if not reranked; explanation : dict, None unless ``explain=True``;
                degraded : why the reranker has no say in the order although there was one, None if it has
    """

    id: str
    text: str
    title: str | None
    metadata: dict[str, Any]
    score: float
    rank: int
    dense_score: float | None = None
    lexical_score: float | None = None
    rerank_score: float | None = None
    explanation: dict[str, Any] | None = None
    degraded: str | None = None


Vector: TypeAlias = "NDArray[np.float32]"
Scores: TypeAlias = "NDArray[np.float64]"
# What a hit shows of a document: id, text, title, metadata.
Content: TypeAlias = "tuple[str, str, str | None, dict[str, Any]]"


def lexical_item(title: str | None, text: str, fields: Container[str] | None) -> str | dict[str, str]:
    """Return what the lexical engine takes of a document: one text, or the named fields among title and text."""
    if fields is None:
        return joined_text(title, text)
    return {name: value for name, value in (("title", title), ("text", text)) if value and name in fields}


def has_words(title: str | None, text: str, fields: Container[str] | None) -> bool:
    """Whether there is anything in a document for the lexical engine."""
    if fields is None:
        return bool(text.strip() or (title and title.strip()))
    return bool(("text" in fields and text.strip()) or ("title" in fields and title and title.strip()))


def document_id(value: object, argument: str) -> str:
    """Return ``value`` if it can be the id of a document.

    Raises:     InvalidInputError otherwise. Integers are refused rather than converted: 7 and "7" would become one
                document or two depending on who asks.
    """
    if not isinstance(value, str):
        raise InvalidInputError(
            f"{argument}: expected a str, got {type(value).__name__} {value!r}; convert it with str()"
        )
    if not value:
        raise InvalidInputError(f"{argument}: expected a non-empty str, got ''")
    return encodable(exact_text(value), argument)


def exact_text(value: str) -> str:
    """Return text as a str and nothing derived from it, such as the elements of NumPy's arrays of text."""
    return value if type(value) is str else str.__str__(value)


def searched_text(document: Document) -> str:
    """Return what is searched of a document: its title, then its text."""
    return joined_text(document.title, document.text)


def joined_text(title: str | None, text: str) -> str:
    """Return what is searched of a title and a text."""
    return f"{title} {text}" if title else text


def read_documents(documents: object, batch_size: int) -> Iterator[list[Document]]:
    """Check a stream of documents and yield it in batches: as ``parsed_documents``, the vectors in the documents."""
    for batch, vectors, _ in parsed_documents(documents, batch_size):
        yield [
            each if vector is None else replace(each, vector=vector)
            for each, vector in zip(batch, vectors, strict=True)
        ]


def parsed_documents(
    documents: object, batch_size: int
) -> Iterator[tuple[list[Document], list[Vector | None], Vector | None]]:
    """Check a stream of documents and yield it in batches, their vectors beside them, and these as one matrix.

    Each yielded document has a str id (32 random hexadecimal digits, a UUID, where the caller gave none, so that it
    cannot collide), plain JSON metadata that shares nothing with the caller's, and no vector: that stands beside it,
    finite float32 (dim,), or None. The matrix (m, dim) holds all vectors of the batch in their order, and shares their
    memory; it is None if there is no vector, not all have one dimension, or they are more than 1,024.

    Parameters: documents : iterable of Document, dict of the same keys (``text`` or ``vector`` required), or str
    Raises:     InvalidInputError naming the position and, where it has one, the id of the offending document
    """
    if isinstance(documents, (str, bytes, Mapping, Document)) or not isinstance(documents, Iterable):
        raise InvalidInputError(
            "documents: expected an iterable of Document, dict or str, got one "
            f"{type(documents).__name__}; wrap a single document in a list"
        )
    items, position, most = iter(documents), 0, min(batch_size, sys.maxsize)
    while True:
        batch, vectors, matrix = _core.next_documents(items, most, position, Document, _parse)
        if batch:
            yield batch, vectors, matrix
        if len(batch) < most:
            return
        position += len(batch)


def _parse(item: object, position: int) -> tuple[Document, Vector | None]:
    """Read one document that is not of the usual kind, which the native core reads, or is wrong."""
    where = f"documents[{position}]"
    if isinstance(item, str):
        return Document(id=uuid.uuid4().hex, text=encodable(exact_text(item), f"{where}: text")), None
    given: tuple[Any, ...]
    if isinstance(item, Document):
        given = (item.id, item.text, item.metadata, item.vector, item.title)
    elif isinstance(item, Mapping):
        unknown = [key for key in item if key not in _FIELDS]
        if unknown:
            raise InvalidInputError(
                f"{where}: unknown key {unknown[0]!r}; expected {', '.join(_FIELDS)} (other data goes into metadata)"
            )
        if item.get("text") is None and item.get("vector") is None:
            raise InvalidInputError(f"{where}: needs a text or a vector, got neither")
        given = tuple([item.get(name) for name in _FIELDS])
    else:
        raise InvalidInputError(f"{where}: expected a Document, dict or str, got {type(item).__name__}")

    identity, text, metadata, vector, title = given
    if identity is None and isinstance(item, Mapping):
        identity = uuid.uuid4().hex
    else:
        identity = document_id(identity, f"{where}: id")
        where = f"{where} (id {identity!r})"
    if text is None and isinstance(item, Mapping):
        text = ""
    if not isinstance(text, str):
        raise InvalidInputError(f"{where}: text: expected a str, got {type(text).__name__}")
    if title is not None and not isinstance(title, str):
        raise InvalidInputError(f"{where}: title: expected a str or None, got {type(title).__name__}")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"{where}: metadata: expected a dict, got {type(metadata).__name__}")
    text, title = exact_text(text), None if title is None else exact_text(title)
    plain = _core.flat_copy(metadata)  # of nearly all metadata; what it refuses may be right or wrong
    document = Document(
        identity,
        text if text.isascii() else encodable(text, f"{where}: text"),
        _plain_object(metadata, f"{where}: metadata", 0) if plain is None else plain,
        None,
        title if title is None or title.isascii() else encodable(title, f"{where}: title"),
    )
    return document, None if vector is None else _plain_vector(vector, where)


def encodable(value: str, where: str) -> str:
    """Return text that has an UTF-8 form, which the engines read; a lone surrogate has none."""
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"{where}: holds a lone surrogate at character {error.start}, which is not Unicode text; decode the "
                "source with errors='replace'"
            ) from None
    return value


def float_array(value: object, argument: str, expected: str, dtype: type[_Float]) -> NDArray[_Float]:
    """Return a copy of numbers as an array of floats; what overflows becomes infinity, for the caller to name.

    Like VectorIndex it refuses what NumPy would convert silently: strings, booleans, complex numbers.

    Parameters: expected : for the message, such as "1-D numbers"
    Raises:     InvalidInputError for anything but integers and floats
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError):  # ragged lists, say
        raise InvalidInputError(f"{argument}: expected {expected}, got {type(value).__name__}") from None
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{argument}: expected {expected}, got {type(value).__name__} of dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(dtype).itemsize:
        with np.errstate(over="ignore"):
            converted: NDArray[_Float] = np.array(array, dtype=dtype, order="C")
    else:  # cannot overflow, and errstate costs more than the copy
        converted = np.array(array, dtype=dtype, order="C")
    return converted


def _plain_vector(vector: object, where: str) -> NDArray[np.float32]:
    array = float_array(vector, f"{where}: vector", "1-D numbers", np.float32)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInputError(f"{where}: vector: expected shape (dim,), got {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{where}: vector: holds NaN or infinity")
    if not array.any():
        raise InvalidInputError(f"{where}: vector: is all zeros, which has no cosine; give None for no vector")
    return array


def _plain_object(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"{where}: is nested deeper than {_MAX_DEPTH} levels (or contains itself)")
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str) or not key:
            raise InvalidInputError(f"{where}: keys must be non-empty str, got {key!r}")
        if key[0] == "$":
            raise InvalidInputError(f"{where}: key {key!r} begins with '$', which filters reserve for operators")
        if not key.isascii():
            encodable(key, where)
        plain[key] = _plain_value(item, f"{where}[{key!r}]", depth)
    return plain


def _plain_value(value: object, where: str, depth: int) -> Any:
    value = python_scalar(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(encodable(value, where))
    if isinstance(value, int):
        if abs(value) > _MAX_INTEGER:
            raise InvalidInputError(f"{where}: integers beyond 2**64 cannot be filtered exactly; store a str")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(f"{where}: {value!r} is not a JSON number; use None for a missing value")
        return float(value)
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _plain_object(value, where, depth + 1)
    if isinstance(value, (list, tuple)):
        if depth >= _MAX_DEPTH:
            raise InvalidInputError(f"{where}: is nested deeper than {_MAX_DEPTH} levels (or contains itself)")
        return [_plain_value(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    raise InvalidInputError(
        f"{where}: expected a str, number, bool, date, list, dict or None, got {type(value).__name__}"
    )


def python_scalar(value: object, where: str) -> object:
    """Return a NumPy scalar as Python's; anything else as it is. Metadata and filters must convert alike.

    Raises:     InvalidInputError for a duration, or a date that datetime cannot hold: NumPy would make bare integers
    """
    if isinstance(value, np.timedelta64):
        raise InvalidInputError(f"{where}: is a duration, which JSON does not have; use a number, such as of seconds")
    if isinstance(value, np.datetime64):
        moment = value.astype("datetime64[us]").item()  # microseconds are what datetime holds
        if moment is not None and not isinstance(moment, datetime.datetime):
            raise InvalidInputError(f"{where}: {value} is outside the years 1 to 9999")
        return moment
    return value.item() if isinstance(value, np.generic) else value


def hits_of(contents: list[Content], scores: Scores, dense: Scores, lexical: Scores, first_rank: int) -> list[Hit]:
    """Return hits that nothing was reranked, explained or degraded for; a score that is NaN becomes None.

    Parameters: contents : n of them, whose metadata becomes the hits' own; scores, dense, lexical : floats (n,);
                first_rank : of the first hit, from 1
    Returns:    n hits, in the order of contents
    Raises:     InvalidInputError if there are not n of each score
    """
    return _core.plain_hits(Hit, contents, scores, dense, lexical, first_rank)


def copy_plain(value: Any) -> Any:
    """Copy plain JSON data, so that a caller who changes a hit's metadata does not change the index."""
    if isinstance(value, dict):
        return {key: copy_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_plain(item) for item in value]
    return value
