"""The commands on an index on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import Document, HybridIndex, cli


@pytest.fixture
def kb(tmp_path: Path) -> Path:
    folder = tmp_path / "kb"
    vectors = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    with HybridIndex(folder, lambda texts: [[1.0, 2.0, len(text) / 3, 0.1] for text in texts]) as index:
        index.add(Document(f"d{i}", f"text {i} ü\n", {"n": i}, vectors[i] if i % 2 else None, "t") for i in range(30))
        index.delete(["d3"])
    return folder


def run(capsys: Any, *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_info_verify_and_compact(kb: Path, capsys: Any) -> None:
    code, out, _ = run(capsys, "info", kb, "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["documents"], facts["dim"], facts["settings"]["variant"]) == (29, 4, "lucene")
    assert facts["unsealed"] == 30
    code, out, _ = run(capsys, "compact", kb, "--json")
    assert code == 0
    assert json.loads(out)["disk_bytes"] > 0
    code, out, _ = run(capsys, "verify", kb, "--json")
    assert code == 0
    assert json.loads(out) == {"intact": True, "documents": 29, "vectors": 29, "texts": 29, "segments": 1}
    for command in ("info", "verify", "compact"):
        code, out, _ = run(capsys, command, kb)
        assert code == 0
        assert "bytes" in out or "intact" in out


def test_verify_names_damage(kb: Path, capsys: Any) -> None:
    run(capsys, "compact", kb)
    (file,) = (kb / "segments").glob("*.dense")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    code, out, err = run(capsys, "verify", kb)
    assert (code, out) == (1, "")
    assert "damaged" in err
    assert file.name in err


def test_export_and_import_give_an_equal_index(kb: Path, tmp_path: Path, capsys: Any) -> None:
    file, copy = tmp_path / "documents.jsonl", tmp_path / "copy"
    assert run(capsys, "export", kb, file)[0] == 0
    code, out, _ = run(capsys, "import", copy, file, "--json")
    assert (code, json.loads(out)) == (0, {"documents_read": 29, "documents": 29})
    with HybridIndex.open(kb, read_only=True) as one, HybridIndex.open(copy, read_only=True) as two:
        for options in ({}, {"where": {"n": {"$gte": 10}}}):
            search: dict[str, Any] = {"vector": [1.0, 0.0, 0.5, 0.0], "k": 30, **options}
            assert one.search("text ü 7", **search) == two.search("text ü 7", **search)
        assert list(one.documents(embedded=True)) == list(two.documents())
        for ours, theirs in zip(one.documents(embedded=True), two.documents(), strict=True):
            np.testing.assert_array_equal(ours.vector, theirs.vector)
        assert [document.vector is None for document in one.documents()] == [
            int(document.id[1:]) % 2 == 0 for document in one.documents()
        ]
        assert [document.id for document in one.documents({"n": {"$lt": 5}})] == ["d0", "d1", "d2", "d4"]
    assert run(capsys, "import", copy, file)[0] == 1  # the ids are there
    assert run(capsys, "import", copy, file, "--replace", "--json")[0] == 0
    assert run(capsys, "export", kb, file, "--no-vectors")[0] == 0
    assert "vector" not in file.read_text()
    assert run(capsys, "import", tmp_path / "german", file, "--language", "german")[0] == 0
    assert run(capsys, "import", tmp_path / "german", file, "--language", "english", "--replace")[0] == 1


def test_errors_are_one_sentence_and_change_nothing(kb: Path, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "documents.jsonl"
    file.write_text('{"id": "new", "text": "x"}\n\n{"id": "other"\n')
    code, _, err = run(capsys, "import", kb, file)
    assert code == 1
    assert "line 3: expected a JSON object" in err
    file.write_text("[1]\n")
    assert "line 1: expected a JSON object, got list" in run(capsys, "import", kb, file)[2]
    assert "cannot be opened" in run(capsys, "import", kb, tmp_path / "missing")[2]
    for command in ("info", "verify", "compact", "export"):
        code, _, err = run(capsys, command, tmp_path / "nothing")
        assert code == 1
        assert "holds no index" in err
    with HybridIndex.open(kb) as index:
        assert len(index) == 29
        assert "open for writing by process" in run(capsys, "compact", kb)[2]
        assert run(capsys, "info", kb)[0] == 0
