"""What an index is made with and keeps: analyzer, parameters and fields of BM25, the embedder's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightline.analyzer import Analyzer
from sightline.bm25_index import BM25Index, Variant
from sightline.errors import IncompatibleIndexError, InvalidInputError
from sightline.fields import FieldSettings, fields_from_json, fields_to_json, parse_fields

__all__ = ["Settings", "checked_fields", "embedder_name"]

_METRIC = "cosine"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a caller said, None where nothing; or, of an index, all of it."""

    analyzer: Analyzer | None
    variant: Variant | None
    k1: float | None
    b: float | None
    delta: float | None
    embedder: str | None  # the name it gives itself
    fields: FieldSettings | None = None  # of the lexical engine; None: title and text are one
    positions: bool | None = None

    def completed(self) -> Settings:
        """Return the settings of a new index.

        Raises:     InvalidInputError if a parameter is out of range
        """
        found = Settings(
            Analyzer("english") if self.analyzer is None else self.analyzer,
            "lucene" if self.variant is None else self.variant,
            1.2 if self.k1 is None else self.k1,
            0.75 if self.b is None else self.b,
            0.5 if self.delta is None else self.delta,
            self.embedder,
            self.fields,
            bool(self.positions),
        )
        found.lexical()
        return found

    def lexical(self) -> BM25Index:
        """Return an empty lexical engine."""
        missing: Any = None  # complete settings lack nothing
        return BM25Index(
            self.analyzer,
            k1=missing if self.k1 is None else self.k1,
            b=missing if self.b is None else self.b,
            delta=missing if self.delta is None else self.delta,
            variant=missing if self.variant is None else self.variant,
            fields=self.fields,
            positions=bool(self.positions),
        )

    @property
    def tf_limit(self) -> float:
        """What the term-frequency factor of the BM25 variant approaches for a word that fills a document."""
        k1, delta = self.k1 or 0.0, self.delta or 0.0
        limits = {"atire": k1 + 1.0, "bm25l": k1 + 1.0, "bm25+": k1 + 1.0 + delta}
        return limits.get(self.variant or "", 1.0)

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` reads.

        Raises:     InvalidInputError if the analyzer holds code, which cannot be saved
        """
        return {
            "metric": _METRIC,
            "analyzer": None if self.analyzer is None else self.analyzer.settings(),
            "variant": self.variant,
            "k1": self.k1,
            "b": self.b,
            "delta": self.delta,
            "embedder": self.embedder,
            "fields": fields_to_json(self.fields),
            "positions": bool(self.positions),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Settings:
        """Return the settings of an index on disk.

        Raises:     IncompatibleIndexError if this version cannot make them; KeyError, TypeError if they are damaged
        """
        if stored["metric"] != _METRIC:
            raise IncompatibleIndexError(f"metric: the index has {stored['metric']!r}, this version knows {_METRIC!r}")
        try:
            analyzer = Analyzer.from_settings(stored["analyzer"])
        except InvalidInputError as error:
            raise IncompatibleIndexError(
                f"analyzer: the one of the index cannot be made here ({error}); upgrade PyStemmer"
            ) from None
        fields = fields_from_json(stored["fields"])
        return cls(
            analyzer,
            stored["variant"],
            stored["k1"],
            stored["b"],
            stored["delta"],
            stored["embedder"],
            None if fields is None else checked_fields(fields),
            bool(stored["positions"]),
        )

    def check_against(self, given: Settings) -> None:
        """Refuse what a caller gave if the index was made with something else.

        Raises:     IncompatibleIndexError naming the argument
        """
        for name in ("analyzer", "variant", "k1", "b", "delta", "embedder", "fields", "positions"):
            mine, theirs = getattr(self, name), getattr(given, name)
            unset = mine is None and name == "embedder"  # of an index that takes any
            if not unset and theirs is not None and mine != theirs:
                raise IncompatibleIndexError(
                    f"{name}: the index was made with {mine!r}, got {theirs!r}; leave it out, or build a new index"
                )


def checked_fields(fields: Any) -> FieldSettings:
    """Return the lexical fields that a user asked for.

    Raises:     InvalidInputError for anything but weights of ``title`` and ``text``
    """
    settings = parse_fields(fields)
    for name in settings:
        if name not in ("title", "text"):
            raise InvalidInputError(f"fields: expected 'title' and 'text', which documents have, got {name!r}")
    return settings


def embedder_name(embedder: object) -> str | None:
    """Return the name that an embedder gives itself by an attribute ``name``, None if it has none.

    Raises:     InvalidInputError if the name is no str
    """
    name = getattr(embedder, "name", None)
    if name is not None and not isinstance(name, str):
        raise InvalidInputError(f"embedder: expected its name to be a str, got {type(name).__name__}")
    return name or None
