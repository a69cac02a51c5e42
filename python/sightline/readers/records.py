"""Records: JSON lines, CSV and Parquet, each record a document with its other fields as metadata."""

from __future__ import annotations

import csv
import datetime
import decimal
import hashlib
import json
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sightline.datasets import json_lines
from sightline.errors import InvalidInputError, MissingExtraError, StorageError
from sightline.readers.parts import Part, ReadOptions

__all__ = ["read_csv", "read_jsonl", "read_parquet"]

_Row = tuple[str, Mapping[str, Any]]  # (where it stands, fields)
_ID_FIELDS = ("id", "_id")
_DELIMITERS = ",;\t|"
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")  # 007 is a name
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)?(?:\.\d*)?(?:[eE][+-]?\d+)?")
_BATCH = 1024
_LONGEST_CELL = (1 << 31) - 1  # the greatest limit that the csv module takes everywhere
_limit_lock = threading.Lock()
_readers = 0  # tables being read, by all threads
_program_limit = 0


def read_jsonl(path: Path, options: ReadOptions) -> Iterator[Part]:
    """Yield the objects of JSON lines, gzipped or not. A ``metadata`` object is joined with the other fields.

    Raises:     InvalidInputError naming the line; StorageError
    """

    def rows() -> Iterator[_Row]:
        for at, row in json_lines(path, options.encoding or "utf-8-sig"):
            inner = row.get("metadata")
            if isinstance(inner, dict) and "metadata" not in (options.metadata_fields or ()):
                row = {name: value for name, value in row.items() if name != "metadata"}
                row = {**inner, **row}
            yield at, row

    return _parts(rows(), options)


def read_csv(path: Path, options: ReadOptions) -> Iterator[Part]:
    """Yield the rows of a table with a header, separated by commas, semicolons, tabs or bars.

    A column in which every value is a whole number holds integers, one in which every value is a number floats, so
    that filters can compare them; empty cells are left out. Reads the file twice.

    Raises:     InvalidInputError naming the line; StorageError
    """
    kinds: dict[str, Callable[[str], Any]] = {}
    for _, row in _csv_rows(path, options):
        for name, value in row.items():
            kinds[name] = _kind(value, kinds.get(name, int))
    as_text = {*options.text_fields, options.title_field or "title", options.id_field, *_ID_FIELDS}

    def rows() -> Iterator[_Row]:
        for at, row in _csv_rows(path, options):
            yield (
                at,
                {name: cell if name in as_text else kinds[name](cell) for name, cell in row.items()
                 if name in as_text or cell.strip()},
            )  # fmt: skip

    return _parts(rows(), options)


def read_parquet(path: Path, options: ReadOptions) -> Iterator[Part]:
    """Yield the rows of a Parquet file, a batch at a time. Fields without value and binary ones are left out.

    Raises:     MissingExtraError without pyarrow; InvalidInputError if it is no Parquet file; StorageError
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("reading Parquet needs pyarrow: pip install 'sightline[ingest]'") from None

    def rows() -> Iterator[_Row]:
        number = 0
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{path}, row {number}", {k: _plain(v) for k, v in row.items() if _kept(v)}
        except pyarrow.ArrowException as error:
            raise InvalidInputError(f"{path}: cannot be read as Parquet ({error})") from None
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None

    return _parts(rows(), options)


def _parts(rows: Iterable[_Row], options: ReadOptions) -> Iterator[Part]:
    """Yield records. One without an id is known by a hash of what it holds, so that others may come and go."""
    title_field = options.title_field or "title"
    seen: Counter[str] = Counter()
    for at, row in rows:
        texts = [_text(row, name, at) for name in options.text_fields]
        id_field = options.id_field or next((name for name in _ID_FIELDS if row.get(name) is not None), None)
        title = row.get(title_field)
        if title is not None and not isinstance(title, str):
            raise InvalidInputError(f"{at}: {title_field!r}: expected a title, got {type(title).__name__}")
        if id_field is None:
            name = hashlib.blake2b(json.dumps(row, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
            seen[name] += 1
            name += f"-{seen[name]}" if seen[name] > 1 else ""
        else:
            name = _identity(row, id_field, at)
            seen[name] += 1
            if seen[name] > 1:
                raise InvalidInputError(f"{at}: {id_field!r}: {name!r} occurs twice in this file")
        used = {*options.text_fields, id_field, title_field}
        fields = options.metadata_fields
        kept = {
            key: value
            for key, value in row.items()
            if value is not None and (key not in used if fields is None else key in fields)
        }
        yield Part("\n\n".join(text for text in texts if text), title or None, record=name, metadata=kept)


def _text(row: Mapping[str, Any], name: str, at: str) -> str:
    if name not in row:
        fields = ", ".join(map(repr, row)) or "none"
        raise InvalidInputError(f"{at}: has no field {name!r}; its fields are {fields}: name those that hold the text")
    value = row[name]
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{at}: {name!r}: expected text, got {type(value).__name__}")
    return value or ""


def _identity(row: Mapping[str, Any], name: str, at: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise InvalidInputError(f"{at}: {name!r}: expected an id, a string or an integer, got {value!r}")
    return str(value)


def _csv_rows(path: Path, options: ReadOptions) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield rows with their lines; cells as they are."""
    name = options.encoding or "utf-8-sig"
    try:
        with path.open(encoding=name, newline="") as file, _long_cells():
            first = file.readline()
            file.seek(0)
            delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=_outside_quotes(first).count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader, [])
            if len(set(header)) != len(header) or not all(header):
                raise InvalidInputError(f"{path}: expected a header of different names, got {first.strip()[:200]!r}")
            for row in reader:
                at = f"{path}, line {reader.line_num}"
                if not row:
                    continue
                if len(row) != len(header):
                    raise InvalidInputError(f"{at}: expected {len(header)} cells as in the header, got {len(row)}")
                yield at, dict(zip(header, row, strict=True))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except csv.Error as error:
        raise InvalidInputError(f"{path}: cannot be read as CSV ({error})") from None
    except LookupError:
        raise InvalidInputError(f"encoding: {options.encoding!r} is unknown to Python") from None
    except UnicodeError:
        raise InvalidInputError(f"{path}: is not text in {name}; name its encoding, such as latin-1") from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be of any length: the csv module refuses more than 128 KB by default, a limit of the whole process.

    The limit that the program set holds again when no table is being read any more.
    """
    global _readers, _program_limit
    with _limit_lock:
        if not _readers:
            _program_limit = csv.field_size_limit(_LONGEST_CELL)
        _readers += 1
    try:
        yield
    finally:
        with _limit_lock:
            _readers -= 1
            if not _readers:
                csv.field_size_limit(_program_limit)


def _outside_quotes(line: str) -> str:
    return re.sub('"[^"]*"', "", line)


def _kind(cell: str, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the narrowest of int, float and str that a column can be, given one more of its cells."""
    cell = cell.strip()
    if not cell or kind is str or (kind is int and _INTEGER.fullmatch(cell)):
        return kind
    with suppress(ValueError):
        # Digits that no float64 could keep, such as those of a card, are a name, too.
        if _NUMBER.fullmatch(cell) and not (cell.isdigit() and len(cell) > 15) and math.isfinite(float(cell)):
            return float
    return str


def _kept(value: Any) -> bool:
    return not isinstance(value, (bytes, bytearray))


def _plain(value: Any) -> Any:
    """Return a value of Arrow as one of metadata."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime.time, datetime.timedelta)):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if _kept(inner)}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
