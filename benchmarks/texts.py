"""Texts and queries that every Python installation has: the docstrings of the standard library."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["docstrings", "known_items", "sentences"]


def docstrings(limit: int) -> tuple[list[str], list[str]]:
    """Return the docstrings of the standard library, and first lines of some of them as queries."""
    documents = list(_every_docstring()[:limit])
    chosen = np.random.default_rng(1).permutation(len(documents))[:1000]
    return documents, [documents[i].strip().split("\n")[0] for i in chosen]


def known_items(limit: int) -> tuple[list[str], list[str]]:
    """Return bodies of docstrings and, for each of the first ones, its summary line as the query that should find it.

    The summary is taken out of the document, so a query is answered by what the rest says. Both come in one random
    order; query i belongs to document i.
    """
    pairs = []
    for text in docstrings(limit)[0]:
        summary, _, body = text.strip().partition("\n")
        if len(summary.split()) >= 4 and len(body.split()) >= 10 and summary.strip() not in body:
            pairs.append((summary.strip(), body.strip()))
    order = np.random.default_rng(2).permutation(len(pairs))
    pairs = [pairs[i] for i in order]
    return [body for _, body in pairs], [summary for summary, _ in pairs[:500]]


def sentences(documents: list[str]) -> list[str]:
    """Split documents roughly into sentences: many short documents."""
    parts = (part.strip() for document in documents for part in document.replace("\n", " ").split(". "))
    return [part for part in parts if part]


@cache
def _every_docstring() -> tuple[str, ...]:
    documents: list[str] = []
    for path in sorted(Path(os.__file__).parent.rglob("*.py")):
        if not {"site-packages", "test", "tests", "idlelib"} & set(path.parts):
            documents.extend(_docstrings_of(path))
    return tuple(dict.fromkeys(documents))


def _docstrings_of(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # the library holds files that are broken on purpose
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield text
