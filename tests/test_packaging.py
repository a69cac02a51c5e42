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


def _pyproject() -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        tomllib = pytest.importorskip("tomli")
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return found


def test_every_platform_of_the_wheels_has_a_job_and_only_tested_ones_are_published() -> None:
    jobs = _parsed(ROOT / ".github" / "workflows" / "wheels.yml")["jobs"]
    settings = _pyproject()["tool"]["cibuildwheel"]
    platforms = {name for name, value in settings.items() if isinstance(value, dict)}
    assert platforms == {"linux", "macos", "windows"} == set(jobs) - {"sdist"}
    for name in platforms:
        uses = [step.get("uses", "").partition("@")[0] for step in jobs[name]["steps"]]
        assert "pypa/cibuildwheel" in uses
        (upload,) = [step for step in jobs[name]["steps"] if "upload-artifact" in step.get("uses", "")]
        untested = jobs[name].get("continue-on-error", False)
        assert untested == (name != "linux")
        assert upload["with"]["name"].startswith("untested-" if untested else "dist-")
    published = _parsed(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["publish"]["steps"]
    assert [step["with"]["pattern"] for step in published if "with" in step] == ["dist-*"]


@pytest.mark.parametrize(("system", "shown"), [("macos", "macOS"), ("windows", "Windows")])
def test_what_may_fail_is_called_untested(system: str, shown: str) -> None:
    assert _parsed(ROOT / ".github" / "workflows" / "wheels.yml")["jobs"][system]["continue-on-error"] is True
    lines = (ROOT / "docs" / "packaging.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| {shown} ")]
    assert len(rows) == 1
    assert "**untested**, not published" in rows[0]
    untested = _parsed(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["untested"]
    assert untested["continue-on-error"] is True
    assert any(name.startswith(system) for name in untested["strategy"]["matrix"]["os"])


def test_windows_is_built_by_the_compiler_that_the_build_asks_for() -> None:
    environment = _pyproject()["tool"]["cibuildwheel"]["windows"]["environment"]
    assert environment == {"CMAKE_GENERATOR_TOOLSET": "ClangCL"}
    assert "-T ClangCL" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_workflow_installs_the_packages_that_stages_would_install_as_root() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    needed = set(re.findall(r"^ .*?need_package .*?$", script, re.MULTILINE))
    calls = [call for line in needed for call in re.findall(r"need_package (\S+) ([\w.+-]+)", line)]
    packages = {package for command, package in calls if command != "ccache"}
    assert {"clang-16", "wine64", "qemu-user", "valgrind"} <= packages
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (installed,) = re.findall(r"apt-get install ([^&]*?)\n      - ", workflow)
    assert packages <= set(installed.split())
