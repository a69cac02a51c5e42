"""Texts and queries for benchmarks: a data set from a folder, or what every Python installation has."""

from __future__ import annotations

import ast
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["docstrings", "load", "sentences"]


def load(folder: Path, limit: int) -> tuple[list[str], list[str]]:
    """Return documents (title and text) and queries of a folder with corpus.jsonl[.gz] and queries.jsonl."""
    packed = folder / "corpus.jsonl.gz"
    documents = []
    for entry in _json_lines(packed if packed.exists() else folder / "corpus.jsonl"):
        if len(documents) == limit:
            break
        documents.append(f"{entry.get('title', '')} {entry['text']}".strip())
    return documents, [entry["text"] for entry in _json_lines(folder / "queries.jsonl")]


def docstrings(limit: int) -> tuple[list[str], list[str]]:
    """Return the docstrings of the standard library, and first lines of some of them as queries."""
    documents = []
    for path in sorted(Path(os.__file__).parent.rglob("*.py")):
        if not {"site-packages", "test", "tests", "idlelib"} & set(path.parts):
            documents.extend(_docstrings_of(path))
    documents = list(dict.fromkeys(documents))[:limit]
    chosen = np.random.default_rng(1).permutation(len(documents))[:1000]
    return documents, [documents[i].strip().split("\n")[0] for i in chosen]


def sentences(documents: list[str]) -> list[str]:
    """Split documents roughly into sentences: many short documents."""
    parts = (part.strip() for document in documents for part in document.replace("\n", " ").split(". "))
    return [part for part in parts if part]


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


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
