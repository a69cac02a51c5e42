"""Real documents that every Python installation has: its own documentation.

Source files are parsed, not imported, so nothing of the standard library runs. What is written in C has its docstrings
in the running interpreter; only modules without side effects are looked at. The language reference comes from pydoc.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.documents import Document

__all__ = ["collect"]

# Tests, vendored copies, tools with a window: nothing that a question about Python is meant for.
_SKIPPED_FOLDERS = {
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "turtledemo"),
    *("_bundled", "pydoc_data"),
}
_MODULES_IN_C = (
    *("builtins", "array", "binascii", "cmath", "collections", "datetime", "decimal", "functools", "gc", "itertools"),
    *("marshal", "math", "mmap", "operator", "random", "select", "socket", "ssl", "struct", "sys", "time", "zlib"),
    *("unicodedata", "errno", "signal", "atexit", "posix", "_asyncio", "_bisect", "_codecs", "_csv", "_hashlib"),
    *("_heapq", "_io", "_json", "_queue", "_sqlite3", "_thread", "_weakref"),
)
_MIN_CHARACTERS = 15  # "Return self==value." helps nobody
_CHUNK_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class _Entry:
    """One docstring, or one topic of pydoc."""

    name: str
    title: str
    signature: str
    text: str
    metadata: dict[str, Any]


def collect(report: Callable[[int, int], None] = lambda done, total: None) -> list[Document]:
    """Read the documentation of this Python installation.

    Parameters: report : called with (files read, files)
    Returns:    documents without vectors, no text twice, long ones in parts; ids such as "json.dumps", "topic:with"
                and, for its second part, "topic:with#2"; metadata: ``kind`` (module, class, function, method, topic),
                ``module``, ``source``, ``signature``, ``part`` and, where it has one, ``line``
    """
    documents: dict[str, Document] = {}
    texts: set[str] = set()
    library = Path(sysconfig.get_path("stdlib"))
    files = sorted(_source_files(library))
    for done, path in enumerate(files, start=1):
        _keep(documents, texts, _from_source(path, library))
        report(done, len(files))
    for name in _MODULES_IN_C:
        try:
            module = import_module(name)
        except ImportError:
            continue  # an optional part of Python that this build lacks
        _keep(documents, texts, _from_module(module))
    _keep(documents, texts, _topics())
    return list(documents.values())


def _keep(documents: dict[str, Document], texts: set[str], found: Iterator[_Entry]) -> None:
    for entry in found:
        for part, chunk in enumerate(_chunks(entry.text), start=1):
            name = entry.name if part == 1 else f"{entry.name}#{part}"
            text = " ".join(chunk.split())
            if len(text) < _MIN_CHARACTERS or text in texts or name in documents:
                continue
            texts.add(text)
            metadata = entry.metadata | {"signature": entry.signature, "part": part}
            heading = f"{entry.signature}\n" if entry.signature else ""
            documents[name] = Document(name, heading + chunk, metadata, title=entry.title)


def _chunks(text: str) -> Iterator[str]:
    """Cut a long text into parts that end with a paragraph."""
    chunk = ""
    for paragraph in text.split("\n\n"):
        if chunk and len(chunk) + len(paragraph) > _CHUNK_CHARACTERS:
            yield chunk
            chunk = ""
        chunk += ("\n\n" if chunk else "") + paragraph
    if chunk.strip():
        yield chunk


def _source_files(library: Path) -> Iterator[Path]:
    for path in library.iterdir():
        if path.name in _SKIPPED_FOLDERS or path.name.startswith(("config-", ".")):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _source_files(path)
        elif path.suffix == ".py":
            yield path


def _from_source(path: Path, library: Path) -> Iterator[_Entry]:
    relative = path.relative_to(library)
    parts = list(relative.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    module = ".".join(parts)
    if not module:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own invalid escapes
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # templates and files for other versions of Python
    yield from _walk(tree, module, module, str(relative), "module")


def _walk(node: Any, name: str, module: str, source: str, kind: str) -> Iterator[_Entry]:
    doc = ast.get_docstring(node)
    if doc:
        metadata: dict[str, Any] = {
            "kind": kind,
            "module": module,
            "source": source,
            "line": getattr(node, "lineno", 1),
        }
        yield _Entry(name, name, "" if kind == "module" else _signature(node), doc, metadata)
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _walk(child, f"{name}.{child.name}", module, source, "class")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _walk(child, f"{name}.{child.name}", module, source, "method" if kind == "class" else "function")


def _signature(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    prefix = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{prefix} {node.name}({ast.unparse(node.args)})"


def _from_module(module: ModuleType) -> Iterator[_Entry]:
    name = module.__name__
    yield from _from_object(module, name, name, "module")
    for key, value in sorted(vars(module).items()):
        if key.startswith("__") or isinstance(value, ModuleType):
            continue
        if isinstance(value, type):
            yield from _from_object(value, f"{name}.{key}", name, "class")
            for attribute, member in sorted(vars(value).items()):
                if not attribute.startswith("__") and callable(member):
                    yield from _from_object(member, f"{name}.{key}.{attribute}", name, "method")
        elif callable(value):
            yield from _from_object(value, f"{name}.{key}", name, "function")


def _from_object(value: object, name: str, module: str, kind: str) -> Iterator[_Entry]:
    doc = getattr(value, "__doc__", None)
    if isinstance(doc, str):
        signature = getattr(value, "__text_signature__", None)
        heading = f"{name.rpartition('.')[2]}{signature}" if isinstance(signature, str) else ""
        source = f"{module} ({sys.implementation.name}, in C)"
        yield _Entry(name, name, heading, doc, {"kind": kind, "module": module, "source": source})


def _topics() -> Iterator[_Entry]:
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    for topic, text in sorted(topics.items()):
        metadata = {"kind": "topic", "module": "pydoc", "source": f"pydoc topic {topic!r}"}
        yield _Entry(f"topic:{topic}", f"{topic} (language reference)", "", text, metadata)
