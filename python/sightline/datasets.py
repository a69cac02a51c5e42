"""Judged collections in the formats of BEIR and TREC: corpus, queries, relevance judgments, runs."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from sightline.errors import InvalidInputError, StorageError

__all__ = ["Qrels", "Queries", "json_lines", "read_corpus", "read_qrels", "read_queries", "write_run"]

Queries: TypeAlias = "dict[str, str]"
Qrels: TypeAlias = "dict[str, dict[str, int]]"  # grades by query and document

_TOPIC = re.compile(r"<top>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_TOPIC_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TOPIC_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*([^<]*)", re.IGNORECASE)


def read_corpus(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read a corpus in BEIR's form, as a stream of what ``HybridIndex.add`` takes.

    Parameters: path : JSON lines, gzipped or not, with ``_id``, ``text``, and perhaps ``title`` and ``metadata``
    Raises:     InvalidInputError naming the line; StorageError if the file cannot be read
    """
    for at, row in json_lines(path):
        metadata = row.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise InvalidInputError(f"{at}: metadata: expected an object, got {type(metadata).__name__}")
        yield {
            "id": _field(row, "_id", at),
            "text": _field(row, "text", at, may_be_empty=True),
            "title": row.get("title") or None,
            "metadata": metadata,
        }


def read_queries(path: str | Path) -> Queries:
    """Read queries: JSON lines with ``_id`` and ``text`` (BEIR), TREC topics, or lines of id, tab, text.

    Returns:    texts by id, in the order of the file
    Raises:     InvalidInputError naming the line; StorageError if the file cannot be read
    """
    name = Path(path).name.removesuffix(".gz")
    queries: Queries = {}
    if name.endswith((".jsonl", ".json")):
        for at, row in json_lines(path):
            _once(queries, _field(row, "_id", at), _field(row, "text", at), at)
        return queries
    with _open(path) as file:
        text = file.read()
    if "<top>" in text.lower():
        for position, topic in enumerate(_TOPIC.findall(text), start=1):
            at = f"{path}, topic {position}"
            number, title = _TOPIC_NUMBER.search(topic), _TOPIC_TITLE.search(topic)
            if number is None or title is None or not title[1].strip():
                raise InvalidInputError(f"{at}: expected <num> and <title>")
            _once(queries, number[1], " ".join(title[1].split()), at)
        return queries
    for at, line in _numbered(path, text):
        identity, tab, query = line.partition("\t")
        if not tab or not identity.strip() or not query.strip():
            raise InvalidInputError(f"{at}: expected an id, a tab and the text of a query, got {line[:80]!r}")
        _once(queries, identity.strip(), query.strip(), at)
    return queries


def read_qrels(path: str | Path) -> Qrels:
    """Read relevance judgments: BEIR's (header; query, document, grade) or TREC's (query, iteration, document, grade).

    Returns:    grades by query and document
    Raises:     InvalidInputError naming the line; StorageError if the file cannot be read
    """
    qrels: Qrels = {}
    with _open(path) as file:
        text = file.read()
    for at, line in _numbered(path, text):
        fields = line.split()
        if not qrels and fields[0] in ("query-id", "query_id", "qid"):
            continue
        if len(fields) not in (3, 4):
            raise InvalidInputError(f"{at}: expected 3 fields (BEIR) or 4 (TREC), got {len(fields)}: {line[:80]!r}")
        try:
            grade = int(fields[-1])
        except ValueError:
            raise InvalidInputError(f"{at}: expected a whole number as the grade, got {fields[-1]!r}") from None
        grades = qrels.setdefault(fields[0], {})
        if grades.setdefault(fields[-2], grade) != grade:
            raise InvalidInputError(f"{at}: query {fields[0]!r} and document {fields[-2]!r} have two grades")
    if not qrels:
        raise InvalidInputError(f"{path}: holds no judgment")
    return qrels


def write_run(path: str | Path, run: Mapping[str, Sequence[tuple[str, float]]], tag: str = "sightline") -> None:
    """Write ranked lists in TREC's form: query, Q0, document, rank, score, tag.

    Parameters: run : (document id, score) by query, best first
    Raises:     InvalidInputError for an id with white space, which the form cannot hold; StorageError
    """
    lines = []
    for query, ranked in run.items():
        for rank, (document, score) in enumerate(ranked, start=1):
            for name in (query, document, tag):
                if not name or name.split() != [name]:
                    raise InvalidInputError(
                        f"run: {name!r} is empty or holds white space, which TREC's form separates by"
                    )
            lines.append(f"{query} Q0 {document} {rank} {score!r} {tag}\n")
    try:
        Path(path).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None


def _open(path: str | Path, encoding: str = "utf-8") -> TextIO:
    path = Path(path)
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding=encoding)
        return path.open(encoding=encoding)
    except LookupError:
        raise InvalidInputError(f"encoding: {encoding!r} is unknown to Python") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None


def _numbered(path: str | Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.rstrip("\r")


def json_lines(path: str | Path, encoding: str = "utf-8") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a file of JSON lines, gzipped or not, each with where it stands, for messages.

    Raises:     InvalidInputError naming the line; StorageError if the file cannot be read
    """
    number = 0
    with _open(path, encoding) as file:
        try:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                at = f"{path}, line {number}"
                try:
                    row = json.loads(line)
                except (json.JSONDecodeError, RecursionError) as error:
                    raise InvalidInputError(f"{at}: is not JSON: {error}") from None
                if not isinstance(row, dict):
                    raise InvalidInputError(f"{at}: expected an object, got {type(row).__name__}")
                yield at, row
        except UnicodeError:
            raise InvalidInputError(f"{path}: is not text in {encoding} after line {number}") from None
        except (OSError, EOFError, zlib.error) as error:  # a damaged gzip file shows here
            raise StorageError(f"{path}: cannot be read: {error}") from None


def _field(row: Mapping[str, Any], name: str, at: str, *, may_be_empty: bool = False) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise InvalidInputError(f"{at}: {name}: expected a string, got {value!r}")
    return value


def _once(queries: Queries, identity: str, text: str, at: str) -> None:
    if identity in queries:
        raise InvalidInputError(f"{at}: the query id {identity!r} occurs twice")
    queries[identity] = text
