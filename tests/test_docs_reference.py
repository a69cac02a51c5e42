"""The API reference names everything public, and every public docstring says what the house style asks for."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sightline as sl
from repository import ROOT

REFERENCE = ROOT / "docs" / "reference"
# What public classes return or take, and the namespaces of their own.
MORE = {
    "sightline.adapter.AdaptedEmbedder",
    "sightline.adapter.AdapterReport",
    "sightline.async_calls.AsyncCalls",
    "sightline.answering.AnswerStream",
    "sightline.bm25_explanation.BM25Explanation",
    "sightline.datasets",
    "sightline.filters",
    "sightline.integrations.haystack",
    "sightline.integrations.langchain",
    "sightline.integrations.llama_index",
    "sightline.scoped.ScopedIndex",
}
PUBLIC = sorted(name for name in sl.__all__ if name != "__version__")
# Where a docstring may stand for those of what it names: "as for ``add``", "As ``ask``, in a worker thread."
_REFERS = re.compile(r"\b[Aa]s (for |in )?(``|[A-Z])")


def test_the_reference_has_every_public_name_once() -> None:
    named = Counter(
        name
        for page in REFERENCE.glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(named) == {f"sightline.{name}" for name in PUBLIC} | MORE
    assert set(named.values()) == {1}


def test_what_is_described_beside_the_public_names_exists() -> None:
    for name in MORE:
        module, _, last = name.rpartition(".")
        if last[0].isupper():
            assert hasattr(importlib.import_module(module), last)


def test_the_command_line_page_has_every_command() -> None:
    commands = re.findall(r"^\| `(\w+)", (REFERENCE / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    typer = pytest.importorskip("typer")
    from sightline.cli import _app

    assert sorted(commands) == sorted(typer.main.get_command(_app(typer)).commands)


def _public_callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the classes and functions of the package, and the methods of the classes, by name."""
    for name in PUBLIC:
        value = getattr(sl, name)
        yield name, value
        if inspect.isclass(value) and not issubclass(value, Exception):
            for attribute, member in inspect.getmembers(value):
                if not attribute.startswith("_") and callable(member) and _is_ours(member):
                    yield f"{name}.{attribute}", member


def _is_ours(member: Any) -> bool:
    return str(getattr(member, "__module__", "")).startswith("sightline")


CALLABLES = dict(_public_callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_a_docstring_says_what_goes_in_and_what_comes_out(name: str) -> None:
    value = CALLABLES[name]
    text = inspect.getdoc(value) or ""
    assert value.__doc__, f"{name} has no docstring"
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    signature = inspect.signature(value)
    parameters = [parameter for parameter in signature.parameters if parameter not in ("self", "cls")]
    if not _REFERS.search(text):
        assert not parameters or "Parameters:" in text, name
        assert [parameter for parameter in parameters if not re.search(rf"\b{parameter}\b", text)] == [], name
    if not inspect.isclass(value) and signature.return_annotation not in ("None", signature.empty):
        assert re.search(r"\bReturns?\b|\bYield\b", text) or _REFERS.search(text), (
            f"{name} does not say what it returns"
        )


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(getattr(sl, name))])
def test_every_property_of_a_public_class_has_a_docstring(name: str) -> None:
    for attribute, member in vars(getattr(sl, name)).items():
        if isinstance(member, property) and not attribute.startswith("_"):
            assert member.__doc__, f"{name}.{attribute}"
