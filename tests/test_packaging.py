"""What releases rest on: pinned actions, few permissions, one home of the version, tags that agree with it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from repository import ROOT, tool

if not (ROOT / ".github").is_dir():
    pytest.skip("an sdist has no workflows", allow_module_level=True)

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def _parsed(path: Path) -> Any:
    return pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def check_release() -> ModuleType:
    return tool("check_release")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    uses = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert uses
    for used in uses:
        assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", used), used


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_only_the_publishing_job_more(path: Path) -> None:
    workflow = _parsed(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        allowed = {"id-token": "write"} if name == "publish" else {"contents": "read"}
        assert job.get("permissions", allowed) == allowed
        assert name != "publish" or "permissions" in job


def test_the_stages_that_ci_asks_for_are_all_there() -> None:
    script = ROOT / ".ci" / "run"
    listed = subprocess.run([script, "--list"], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(listed) == sorted(re.findall(r"^stage_(\w+)\(\)", script.read_text(encoding="utf-8"), re.MULTILINE))


def test_an_sdist_of_a_used_tree_holds_what_a_clean_one_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = pytest.importorskip("scikit_build_core.build")
    tree = tmp_path / "tree"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git repository")
    tracked = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in tracked:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    for name in (
        "build/cp311/CMakeFiles/_core.dir/cpp/dense/index.cpp.o", "build/cp311/python/x.o", "build/docs/index.html",
        "dist/old.tar.gz", "python/sightline/_core.so", "python/sightline/__pycache__/x.pyc", ".venv/lib/tests/x.py",
        "cpp/__pycache__/y.pyc", ".pytest_cache/x", ".hypothesis/x", ".benchmarks/x", "python/x.egg-info/PKG-INFO",
    ):  # fmt: skip
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("left over")
    monkeypatch.chdir(tree)
    made = backend.build_sdist(str(tmp_path / "out"))
    with tarfile.open(tmp_path / "out" / made) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    left_out = (".ci/", ".github/", ".gitignore")
    assert found - {"PKG-INFO"} == {name for name in tracked if not name.startswith(left_out)}


def _repository(folder: Path, version: str, heading: str) -> Path:
    (folder / "pyproject.toml").write_text(f'[build-system]\nversion = "9"\n\n[project]\nversion = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    return folder


def test_a_tag_that_agrees_may_be_released(check_release: ModuleType, tmp_path: Path) -> None:
    root = _repository(tmp_path, "1.2.3", "## 1.2.3 - 2030-01-31")
    assert list(check_release.problems(root, "v1.2.3")) == []


@pytest.mark.parametrize(
    ("tag", "heading", "problem"),
    [
        ("v1.2.4", "## 1.2.3 - 2030-01-31", "expected the tag 'v1.2.3'"),
        ("1.2.3", "## 1.2.3 - 2030-01-31", "expected the tag 'v1.2.3'"),
        ("v1.2.3", "## Unreleased: 1.2.3", "CHANGELOG.md"),
        ("v1.2.3", "## 1.2.30 - 2030-01-31", "CHANGELOG.md"),
    ],
    ids=["another version", "no v", "not dated", "a longer version"],
)
def test_a_tag_that_does_not_agree_is_refused(
    check_release: ModuleType, tmp_path: Path, tag: str, heading: str, problem: str
) -> None:
    found = list(check_release.problems(_repository(tmp_path, "1.2.3", heading), tag))
    assert len(found) == 1
    assert problem in found[0]
