"""The command line: exit codes, messages, and that a missing extra is one clear sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sightline import __version__, cli


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "sightline", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80"} | environment,
        timeout=120,
        check=False,
    )


def test_doctor_as_json(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cpu"]["isa"] in facts["cpu"]["available"]
    assert facts["versions"]["sightline"] == __version__
    assert facts["extras"]["cli"] == "installed"


@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_doctor_as_a_table_fits_the_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "kernels" in out
    assert all(len(line) <= int(columns) for line in out.splitlines())


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sightline {__version__}\n"


def test_module_and_exit_codes():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"sightline {__version__}\n")
    for arguments in (["nonsense"], ["doctor", "--nonsense"], ["doctor", "extra"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_an_error_of_sightline_is_one_sentence():
    done = run("doctor", SIGHTLINE_ISA="nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("sightline: SIGHTLINE_ISA")
    assert "Traceback" not in done.stderr


def test_without_typer_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    assert cli.main(["doctor"]) == 2
    assert "pip install 'sightline[cli]'" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["sklearn", "rich.console"])
def test_without_the_packages_of_the_demo_the_extra_is_named(monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert cli.main(["demo"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "sightline: the demo needs rich and scikit-learn: pip install 'sightline[demo]'\n"
    assert captured.out == ""


def test_other_errors_are_not_hidden(monkeypatch):
    def run(question, *, as_json):
        raise ZeroDivisionError

    monkeypatch.setattr("sightline.demo.run", run)
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_importing_sightline_imports_nothing_heavy():
    code = (
        "import sys, sightline; "
        "heavy = {'numpy', 'sklearn', 'typer', 'rich', 'sightline._core'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "sightline.HybridIndex().add(['x']); "
        "heavy = {'sklearn', 'typer', 'rich'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
