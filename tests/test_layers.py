"""The dependency rules hold, and the script that checks them notices when they do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "check_layers.py"

# A small tree without violations; each case below adds one file to it, or replaces one.
CLEAN = {
    "cpp/core/error.h": "#include <string>\n",
    "cpp/simd/kernels.h": "#include <cstddef>\n#include <cstdint>\n",
    "cpp/simd/dispatch.h": '#include <vector>\n#include "simd/kernels.h"\n',
    "cpp/simd/dispatch.cpp": '#include "simd/dispatch.h"\n#include "core/error.h"\nauto x = std::getenv("A");\n',
    "cpp/simd/scalar.cpp": '#include "simd/kernels.h"\n',
    "cpp/simd/neon_common.h": '#include <arm_neon.h>\n#include "simd/kernels.h"\n',
    "cpp/simd/neon.cpp": '#include "simd/neon_common.h"\n',
    "cpp/parallel/thread_pool.h": "#include <thread>\n",
    "cpp/dense/index.cpp": '#include "simd/dispatch.h"\n// printf("in a comment") and abort() are words here\n',
    "cpp/lexical/index.h": 'const char* text = "printf(abort())";\n',
    "cpp/bindings/module.cpp": '#include <pybind11/pybind11.h>\n#include "lexical/index.h"\n',
    "cpp/tests/main.cpp": '#include <cstdio>\nint main() { std::printf("%d", 1); }\n',
    "python/sightline/__init__.py": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from sightline.errors import SightlineError\n",
    "python/sightline/errors.py": "import os\n",
    "python/sightline/vector_index.py": "import numpy\nfrom sightline import _core\nfrom sightline.errors import A\n",
    "python/sightline/scoped.py": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from sightline.hybrid_index import HybridIndex\n",
    "python/sightline/embed.py": "def fit():\n    import sklearn\n",
    "python/sightline/cli.py": "import typer\nfrom sightline.vector_index import VectorIndex\nprint(1)\n",
}

VIOLATIONS = {
    "cpp/core/a.h": ('#include "simd/kernels.h"\n', "core must not include simd"),
    "cpp/dense/a.cpp": ('#include "lexical/index.h"\n', "dense must not include lexical"),
    "cpp/dense/b.cpp": ('#include "dense/missing.h"\n', "is not a path below cpp/"),
    "cpp/dense/c.cpp": ('#include "index.h"\n', "is not a path below cpp/"),
    "cpp/dense/d.cpp": ("#include <pybind11/numpy.h>\n", "Python, NumPy or pybind11 is reserved for bindings/"),
    "cpp/tests/e.cpp": ("#include <Python.h>\n", "Python, NumPy or pybind11 is reserved for bindings/"),
    "cpp/dense/f.cpp": ('auto x = getenv("A");\n', "the environment is reserved for"),
    "cpp/dense/g.cpp": ('void f() { std::printf("x"); }\n', "printing is reserved for"),
    "cpp/bindings/h.cpp": ("void f() { std::cerr << 1; }\n", "printing is reserved for"),
    "cpp/dense/i.cpp": ("#include <iostream>\n", "printing is reserved for"),
    "cpp/dense/j.cpp": ("void f() { std::abort(); }\n", "ending the process is reserved for"),
    "cpp/dense/k.cpp": ('#include "simd/neon_common.h"\n', "only kernel files include simd/neon_common.h"),
    "cpp/dense/l.cc": ("\n", "neither .h nor .cpp"),
    "cpp/graph/m.cpp": ("\n", "unknown folder"),
    "cpp/n.cpp": ("\n", "unknown folder"),
    "cpp/simd/sve.cpp": ("\n", "unknown file of cpp/simd"),
    "cpp/simd/avx2.cpp": ("#include <algorithm>\n", "a kernel file must not include algorithm"),
    "cpp/simd/scalar.cpp": ('#include "simd/neon_common.h"\n', "a kernel file must not include simd/neon_common.h"),
    "cpp/simd/neon.cpp": ('#include "core/error.h"\n', "a kernel file must not include core/error.h"),
    "python/sightline/strange.py": ("\n", "unknown module"),
    "python/sightline/errors.py": ("from sightline.embed import fit\n", "errors must not import embed"),
    "python/sightline/bm25_index.py": (
        "from sightline.vector_index import VectorIndex\n",
        "bm25_index must not import vector_index",
    ),
    "python/sightline/filters.py": ("from . import embed\n", "filters must not import embed"),
    "python/sightline/fusion.py": ("def f():\n    import sightline.cli\n", "fusion must not import cli"),
    "python/sightline/hybrid_index.py": ("from sightline import _core\n", "must not use the native core directly"),
    "python/sightline/rerank.py": ("from sightline import SightlineError\n", "name the module that defines it"),
    "python/sightline/scoped.py": (
        "from sightline.hybrid_index import HybridIndex\n",
        "scoped must not import hybrid_index",
    ),
    "python/sightline/ingest.py": (
        "if TYPE_CHECKING:\n    from sightline.hybrid_index import HybridIndex\n",
        "ingest must not import hybrid_index",
    ),
    "python/sightline/table.py": ("import sklearn\n", "sklearn is optional"),
    "python/sightline/retrieval.py": ("print(1)\n", "may print"),
    "python/sightline/store.py": ("assert True\n", "raise an error"),
    "python/sightline/__init__.py": ("from sightline.errors import A\n", "must load names at first use only"),
    "python/sightline/integrations/langchain.py": ("from ..cli import x\n", "integrations must not import cli"),
}


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def check(root: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    for name, content in CLEAN.items():
        write(tmp_path, name, content)
    return tmp_path


def test_the_repository_keeps_the_rules() -> None:
    code, lines = check(ROOT)
    assert (code, lines[:-1]) == (0, [])


def test_a_clean_tree_passes(clean: Path) -> None:
    code, lines = check(clean)
    assert (code, lines[:-1]) == (0, [])


def test_an_empty_tree_fails(tmp_path: Path) -> None:
    assert check(tmp_path)[0] == 1


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_noticed(clean: Path, name: str) -> None:
    content, message = VIOLATIONS[name]
    write(clean, name, content)
    code, lines = check(clean)
    assert code == 1
    assert len(lines) == 2, lines
    assert lines[0].startswith(name)
    assert message in lines[0]
