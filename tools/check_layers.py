"""Check the dependency rules of ARCHITECTURE.md: who may include or import whom, and what a layer must not do.

Usage: python tools/check_layers.py [repository]; exits with 1 and one line per violation. A new folder, kernel file or
module must be placed in the tables below: that it is unknown is a violation too.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# --- the rules ----------------------------------------------------------------------------------------------------

# C++: folder -> the folders it may include, besides itself.
CPP_FOLDERS: dict[str, set[str]] = {
    "core": set(),
    "simd": {"core"},
    "parallel": {"core"},
    "topk": {"core", "simd"},
    "storage": {"core", "parallel"},  # checksums are verified in parallel
    "dense": {"core", "simd", "parallel", "topk", "storage"},
    "lexical": {"core", "simd", "parallel", "topk", "storage"},
    "hybrid": {"core", "simd", "parallel", "topk", "storage", "dense", "lexical"},
    "metadata": {"core"},
    "documents": {"core", "storage"},
    "bindings": {"core", "simd", "parallel", "topk", "storage", "dense", "lexical", "hybrid", "metadata", "documents"},
    "tests": {"core", "simd", "parallel", "topk", "storage", "dense", "lexical", "hybrid", "metadata", "documents"},
    "bench": {"core", "simd", "parallel", "topk", "storage", "dense", "lexical", "hybrid"},
}

# cpp/simd: every file, and all that it may include; None: ordinary code under the rules for folders.
# A kernel file is compiled for more than the baseline CPU: an inline function that it shared with other files could be
# picked by the linker for all of them. So the files of a family share headers of internal functions, and no more.
_KERNEL_INCLUDES = {"simd/kernels.h", "cstddef", "cstdint"}
_X86 = _KERNEL_INCLUDES | {"immintrin.h"}
_ARM = _KERNEL_INCLUDES | {"arm_neon.h"}
SIMD_FILES: dict[str, set[str] | None] = {
    "dispatch.h": None,
    "dispatch.cpp": None,
    "x86_features.h": set(),
    "x86_features.cpp": {"simd/x86_features.h", "cpuid.h"},
    "kernels.h": {"cstddef", "cstdint"},
    "scalar.cpp": _KERNEL_INCLUDES,
    "avx2_floats.h": _X86,
    "avx2_scan.h": _X86,
    "avx2.cpp": _X86 | {"simd/avx2_floats.h", "simd/avx2_scan.h"},
    "avx512_floats.h": _X86,
    "avx512_common.h": _X86 | {"simd/avx512_floats.h"},
    "avx512.cpp": _X86 | {"simd/avx512_common.h"},
    "avx512vnni.cpp": _X86 | {"simd/avx512_common.h"},
    "neon_floats.h": _ARM,
    "neon_common.h": _ARM | {"simd/neon_floats.h"},
    "neon.cpp": _ARM | {"simd/neon_common.h"},
    "neon_dotprod.cpp": _ARM | {"simd/neon_common.h"},
}

# C++: what only some files may use: (what, pattern, paths below cpp/; a folder ends in a slash).
CPP_RESERVED: list[tuple[str, str, tuple[str, ...]]] = [
    ("Python, NumPy or pybind11", r'#\s*include\s*[<"](Python\.h|numpy/|pybind11/)', ("bindings/",)),
    (
        "the environment",
        r"\b(secure_)?getenv\b|\benviron\b",
        ("simd/dispatch.cpp", "parallel/thread_pool.cpp", "tests/"),
    ),
    (
        "printing",
        r"\b(f|v|vf)?printf\s*\(|\b(f?puts|perror)\s*\(|\bstd::(cout|cerr|clog)\b|#\s*include\s*<(iostream|print)>",
        ("tests/", "bench/"),
    ),
    ("ending the process", r"\b(abort|_?exit|quick_exit|terminate|assert)\s*\(", ("tests/", "bench/")),
]

# Python: modules by level, lowest first. A module may import modules of lower levels only. Modules that are planned but
# not there yet have their place already.
PYTHON_LEVELS: list[set[str]] = [
    {"errors", "stop_words", "_version"},
    {
        "_arrays",
        "runtime",
        "analyzer",
        "async_calls",
        "column_streams",
        "context_metrics",
        "datasets",
        "documents",
        "fields",
        "fork_locks",
        "locking",
        "query",
        "sentences",
    },
    {"bm25_explanation", "columns", "judged_collection", "saved_analyzer", "store_format"},
    {"column_file", "store_reader"},
    {"document_file"},
    {
        "vector_index",
        "bm25_index",
        "sparse_index",
        "filters",
        "fusion",
        "selection",
        "store",
        "stored_columns",
        "blocks",
        "pending",
        "splitters",
    },
    {
        "table",
        "segments",
        "settings",
        "embed",
        "local_embedders",
        "openai_embed",
        "rerank",
        "chunking",
        "evaluation",
        "openai_chat",
        "convex_search",
    },
    {
        "adapter",
        "answering",
        "ingest",
        "request",
        "result_cache",
        "routing",
        "tuning",
        "charts",
        "ragas_export",
        "named_embedders",
        "readers",
        "sources",
    },
    {"retrieval", "scoped"},
    {"keeper"},
    {"following", "reading", "writing"},
    {"maintenance"},
    {"durable"},
    {"opening"},
    {"hybrid_index"},
    {"demo_corpus", "catalog", "cli_opening", "file_sync"},
    {"demo", "eval_command", "integrations", "distributed", "cli_index"},
    {"cli_files", "mteb_command"},
    {"cli"},
    {"__main__"},
]
# (module, higher module): imported under TYPE_CHECKING only, for an object that is handed in.
PYTHON_TYPES_ONLY = {("scoped", "hybrid_index")}
# The modules that may import the native core.
PYTHON_NATIVE = {
    "_arrays",
    "runtime",
    "analyzer",
    "vector_index",
    "bm25_index",
    "sparse_index",
    "convex_search",
    "columns",
    "column_file",
    "column_streams",
    "document_file",
    "documents",
    "store_format",
}
# What is installed with the package may be imported anywhere; an optional dependency inside functions only (STYLE: its
# absence is one clear sentence), except by the modules that are nothing without it.
PYTHON_INSTALLED = {"numpy", "Stemmer"}
PYTHON_OPTIONAL: dict[str, set[str]] = {
    "cli": {"typer", "rich"},
    "integrations.langchain": {"langchain_core", "pydantic"},
    "integrations.haystack": {"haystack"},
    "integrations.llama_index": {"llama_index"},
    "integrations.mteb": {"mteb", "datasets"},
}
# The modules that may print.
PYTHON_PRINTING = {"cli", "cli_files", "cli_index", "demo", "eval_command", "mteb_command", "__main__"}

# --- C++ ----------------------------------------------------------------------------------------------------------

_INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
# Comments and literals; the include lines are kept, whose names look like literals.
_IGNORED = re.compile(
    r'^\s*#\s*include[^\n]*|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.M | re.S
)


def _code_of(text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if found.lstrip().startswith("#") else re.sub(r"[^\n]", " ", found)

    return _IGNORED.sub(blank, text)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def check_cpp(root: Path) -> Iterator[str]:
    cpp = root / "cpp"
    for path in sorted(p for p in cpp.rglob("*") if p.is_file()):
        inner = path.relative_to(cpp).as_posix()
        folder, _, name = inner.partition("/")
        where = f"cpp/{inner}"
        if path.suffix not in {".h", ".cpp"}:
            yield f"{where}: neither .h nor .cpp"
            continue
        if folder not in CPP_FOLDERS or not name:
            yield f"{where}: unknown folder; place it in CPP_FOLDERS"
            continue
        if folder == "simd" and name not in SIMD_FILES:
            yield f"{where}: unknown file of cpp/simd; place it in SIMD_FILES"
            continue
        code = _code_of(path.read_text(encoding="utf-8"))
        only = SIMD_FILES[name] if folder == "simd" else None
        for match in _INCLUDE.finditer(code):
            quoted, system = match.groups()
            at = f"{where}:{_line(code, match.start())}"
            if only is not None and (quoted or system) not in only:
                yield f"{at}: a kernel file must not include {quoted or system}"
            if quoted is None:
                continue
            target, _, target_name = quoted.partition("/")
            if not (cpp / quoted).is_file():
                yield f'{at}: "{quoted}" is not a path below cpp/'
            elif target != folder and target not in CPP_FOLDERS[folder]:
                yield f"{at}: {folder} must not include {target}"
            elif target == "simd" and target_name.endswith(("_common.h", "_floats.h")) and folder != "simd":
                yield f"{at}: only kernel files include {quoted}"
        for what, pattern, allowed in CPP_RESERVED:
            if any(inner.startswith(prefix) for prefix in allowed):
                continue
            for match in re.finditer(pattern, code):
                yield f"{where}:{_line(code, match.start())}: {what} is reserved for {', '.join(allowed)}"


# --- Python -------------------------------------------------------------------------------------------------------


def _imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[ast.stmt, str]]:
    """Every import of the module, wherever it stands, with relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            if module == "sightline":
                for alias in node.names:
                    yield node, f"sightline.{alias.name}"
            else:
                yield node, module


def _kinds_of_import(tree: ast.Module) -> tuple[set[ast.stmt], set[ast.stmt]]:
    """The imports that run when the module is imported, and those for the type checker; the rest is in functions."""
    eager: set[ast.stmt] = set()
    type_only: set[ast.stmt] = set()

    def visit(node: ast.AST, found: set[ast.stmt]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                found.add(child)
            is_type_checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            visit(child, type_only if is_type_checking else found)

    visit(tree, eager)
    return eager, type_only


def check_python(root: Path) -> Iterator[str]:
    package = root / "python" / "sightline"
    always_there = sys.stdlib_module_names | PYTHON_INSTALLED
    level_of = {module: level for level, modules in enumerate(PYTHON_LEVELS) for module in modules}
    for path in sorted(package.rglob("*.py")):
        inner = path.relative_to(package)
        where = path.relative_to(root).as_posix()
        module = inner.parts[0].removesuffix(".py")
        optional = PYTHON_OPTIONAL.get(".".join(inner.with_suffix("").parts), set())
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        eager, type_only = _kinds_of_import(tree)
        if module != "__init__" and module not in level_of:
            yield f"{where}: unknown module; place it in PYTHON_LEVELS"
            continue
        for node, name in _imports(tree, ("sightline", *inner.parts[:-1])):
            at = f"{where}:{node.lineno}"
            parts = name.split(".")
            if parts[0] == "sightline":
                target = parts[1] if len(parts) > 1 else "__init__"
                if module == "__init__":
                    if node in eager:
                        yield f"{at}: sightline/__init__.py must load names at first use only"
                elif target == "_core":
                    if module not in PYTHON_NATIVE:
                        yield f"{at}: {module} must not use the native core directly"
                elif target not in level_of:
                    yield f"{at}: imports {name}; name the module that defines it"
                elif (
                    target != module
                    and level_of[target] >= level_of[module]
                    and (node not in type_only or (module, target) not in PYTHON_TYPES_ONLY)
                ):
                    yield f"{at}: {module} must not import {target}, which is not of a lower layer"
            elif node in eager and parts[0] not in always_there | optional:
                yield f"{at}: {parts[0]} is optional; import it inside the function that needs it"
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "print"
                and module not in PYTHON_PRINTING
            ):
                yield f"{where}:{node.lineno}: only {', '.join(sorted(PYTHON_PRINTING))} may print"
            if isinstance(node, ast.Assert):
                yield f"{where}:{node.lineno}: assert disappears under python -O; raise an error"


def check(root: Path) -> list[str]:
    return [*check_cpp(root), *check_python(root)]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    violations = check(root)
    for violation in violations:
        print(violation)
    cpp_files = sum(1 for path in (root / "cpp").rglob("*") if path.is_file())
    modules = sum(1 for _ in (root / "python").rglob("*.py"))
    print(f"{len(violations)} violations of the dependency rules in {cpp_files} C++ files and {modules} modules")
    return 1 if violations or cpp_files == 0 or modules == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
