"""Queries that say what a document must have and must not have. Parsed only when asked for: a plain str never is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sightline.errors import InvalidInputError

__all__ = ["Clause", "Query", "parse_query"]


@dataclass(frozen=True, slots=True)
class Clause:
    """A word or a phrase of a query.

    Parameters: text : the word or the phrase; phrase : whether the words must stand side by side; required : whether a
                document must meet the clause, as it must every phrase that is not excluded; excluded : whether a
                document must not meet it
    Raises:     InvalidInputError if an argument has the wrong type, or for a clause both required and excluded
    """

    text: str
    phrase: bool = False
    required: bool = False
    excluded: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidInputError(f"text: expected str, got {type(self.text).__name__}")
        for name in ("phrase", "required", "excluded"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInputError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        if self.required and self.excluded:
            raise InvalidInputError(f"required: expected False for an excluded clause, got both for {self.text!r}")


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: what ``search``, ``score`` and ``explain`` of an index take instead of a str.

    A document is ranked by the words of all clauses that are not excluded. It is in the result if it has one of them
    and meets every required clause and phrase, and no excluded one. A clause of several terms ("e-mail", say) is met
    by a document that has them all. A clause that the analyzer leaves nothing of, such as a stop word, demands
    nothing.

    Parameters: clauses : tuple of Clause
    Raises:     InvalidInputError for anything else
    """

    clauses: tuple[Clause, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.clauses, tuple) or not all(isinstance(clause, Clause) for clause in self.clauses):
            raise InvalidInputError("clauses: expected a tuple of Clause")

    @property
    def text(self) -> str:
        """The words that are not excluded: what an embedder or a reranker should see."""
        return " ".join(clause.text for clause in self.clauses if not clause.excluded)

    @property
    def demands(self) -> bool:
        """Whether a document without words cannot meet it: there is a phrase or a required word."""
        return any((clause.required or clause.phrase) and not clause.excluded for clause in self.clauses)


# A sign counts before a word or a quotation mark only, and only where a word may begin.
_CLAUSE = re.compile(r'(?P<sign>[+-](?=[^\s]))?(?:"(?P<phrase>[^"]*)(?P<end>"?)|(?P<word>[^\s]+))')


def parse_query(text: str) -> Query:
    """Parse a query with phrases in double quotes, required (+) and excluded (-) words and phrases.

    ``'"exact phrase" +must -not word -"not this"'``. A sign counts at the beginning of a word only: "e-mail" and "C++"
    are plain words. O(length).

    Parameters: text : str
    Returns:    Query
    Raises:     InvalidInputError if text is no str, or for a quotation mark without a second one
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"text: expected str, got {type(text).__name__}")
    clauses = []
    for match in _CLAUSE.finditer(text):
        sign, phrase, word = match["sign"], match["phrase"], match["word"]
        if phrase is not None and not match["end"]:
            raise InvalidInputError(
                f"text: the quotation mark at position {match.start('phrase') - 1} of {text!r} has no second one; "
                "close the phrase or leave the mark out"
            )
        clause = Clause(
            phrase if word is None else word,
            phrase=word is None,
            required=sign == "+",
            excluded=sign == "-",
        )
        if clause.text.strip():
            clauses.append(clause)
    return Query(tuple(clauses))
