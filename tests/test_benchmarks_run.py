"""The harness end to end, tiny: engines in processes, gaps, wrong answers, a run's file and the page made of it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import peers, report, results
from benchmarks import run as benchmarks_run
from benchmarks.run import profile_options
from benchmarks.session import Session
from benchmarks.workers import Contender, WorkerError, contenders, environment_for

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "benchmarks" / "results.schema.json").read_text(encoding="utf-8"))
COMMITTED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment_for(1),
        timeout=300,
    )


@pytest.fixture(scope="module")
def run_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run.json"
    done = benchmarks(
        "run", "dense", "lexical", "filter", "hybrid", "--smoke", "--peers", "numpy", "faiss-flat", "--json", str(path)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_a_run_matches_the_schema(run_file):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for path in (run_file, *COMMITTED):
        validator.validate(json.loads(path.read_text(encoding="utf-8")))
    assert SCHEMA["properties"]["schema_version"]["const"] == results.SCHEMA_VERSION
    broken = json.loads(run_file.read_text(encoding="utf-8"))
    next(row for row in broken["rows"] if row["exact"] and row["recall"] is not None)["recall"] = 0.9
    assert not validator.is_valid(broken), "an exact row with a recall below 1 must not pass"


def test_every_exact_row_has_recall_one_and_ours_a_share_of_the_limit(run_file):
    run = results.read(run_file)
    exact = [row for row in run.rows if row.exact and row.status == "ok"]
    assert {row.suite for row in exact} == {"dense", "lexical", "filter", "hybrid"}
    assert {row.recall for row in exact if row.suite != "hybrid" or row.engine == "sightline"} == {1.0}
    for row in exact:
        assert row.rounds
        if row.engine == "sightline":
            assert row.share is not None, row
        else:
            assert row.ratio is not None, row
    assert "--json" not in run.command
    assert run.environment["passes"] == 2
    assert all(max(row.processes) == 1 for row in run.rows if row.ratio is not None)
    assert len(run.engines) == len({(engine.suite, engine.data, engine.engine) for engine in run.engines})
    assert {engine.status for engine in run.engines if engine.engine == "sightline"} == {"ok"}
    if sys.platform == "linux":
        ours = next(engine for engine in run.engines if engine.engine == "sightline")
        assert None not in (ours.peak_bytes, ours.resident_bytes, ours.disk_bytes)


def test_options_reach_every_suite(tmp_path):
    """Data, k, threads and rounds of the command line, over a folder in the format of BEIR with embeddings."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    words = [f"w{i}" for i in range(40)]
    corpus = [{"_id": f"d{i}", "title": "", "text": " ".join(rng.choice(words, 12))} for i in range(300)]
    queries = [{"_id": f"q{i}", "text": " ".join(rng.choice(words, 3))} for i in range(100)]
    for name, entries in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\n", encoding="utf-8")
    np.save(folder / "docs.npy", rng.standard_normal((300, 24)).astype(np.float32))
    np.save(folder / "queries.npy", rng.standard_normal((100, 24)).astype(np.float32))
    path = tmp_path / "run.json"
    done = benchmarks(
        *("run", "dense", "lexical", "hybrid", "filter", "quality", "--smoke", "--peers", "numpy"),
        *("--data", str(folder), "--rows", "500", "--dim", "8", "--k", "3", "7", "--threads", "1", "--repeats", "3"),
        *("--seconds", "5", "--strict", "--json", str(path)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = results.read(path)
    ours = [row for row in run.rows if row.engine == "sightline"]
    assert {row.suite for row in ours} == {"dense", "lexical", "hybrid", "filter", "quality"}
    for suite in ("dense", "lexical", "hybrid", "filter"):
        assert {row.k for row in ours if row.suite == suite and row.queries} == {3, 7}
    # The folder's name is in every row but those of generated vectors, which --rows asks for besides.
    assert {row.data.split(",")[0] for row in ours} == {"beir", "embedding-like"}
    assert any(row.data == "embedding-like, 500 x 8" for row in ours)
    assert all(len(row.rounds) + row.disturbed == 3 for row in ours if row.unit == "ms")
    assert run.environment["threads"] == 1
    assert run.settings["dense"]["k"] == [3, 7]
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("passes", ["0", "-1"])
def test_a_run_without_passes_is_refused(passes):
    done = benchmarks("run", "dense", "--smoke", "--passes", passes)
    assert done.returncode == 2
    assert "--passes: expected at least 1" in done.stderr


def test_a_wrong_answer_ends_the_run(tmp_path):
    done = benchmarks(
        *("dense", "--rows", "2000", "--dim", "16", "--vectors", "embedding", "--batches", "1"),
        *("--repeats", "2", "--seconds", "1", "--peers", "broken", "--json", str(tmp_path / "run.json")),
    )
    assert done.returncode == 1
    assert "WRONG ANSWER: broken promises exact answers, but its recall@10 is 0.9" in done.stderr
    assert not any(row.engine == "broken" for row in results.read(tmp_path / "run.json").rows)


def test_a_peer_that_is_not_installed_is_a_gap(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "missing", lambda module: ["absent"] if module == "faiss_flat" else [])
    np.save(tmp_path / "rows.npy", np.eye(4, dtype=np.float32))
    np.save(tmp_path / "queries.npy", np.eye(4, dtype=np.float32))
    table = {"numpy": "numpy_dense", "faiss-flat": "faiss_flat"}
    with contenders(table, tmp_path, 1) as (there, gone):
        assert there.worker is not None
        assert (gone.worker, gone.problem, gone.gap) == (None, "not installed: absent", "missing")
    with contenders({"numpy": "numpy_dense"}, tmp_path, 1, left_out={"numpy": "it builds for long"}) as (left,):
        assert (left.worker, left.problem, left.gap) == (None, "it builds for long", "left out")


def test_an_engine_that_builds_quickly_is_asked_in_several_processes(tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(4, dtype=np.float32))
    np.save(tmp_path / "queries.npy", np.eye(4, dtype=np.float32))
    table = {"numpy": "numpy_dense"}
    case = {"what": "search", "setting": 0, "k": 2, "batch": 1}
    with contenders(table, tmp_path, 1, processes=3, seconds=60) as (engine,):
        workers = [engine.worker, *engine.more]
        assert len(workers) == 3
        for process in range(4):
            assert engine.round(case, 0, 1, process) > 0
        engine.more[0].close()
        with pytest.raises((WorkerError, ValueError)):  # the second and the fifth round are those of the second process
            engine.round(case, 0, 1, 4)
        assert engine.round(case, 0, 1, 3) > 0
    with contenders(table, tmp_path, 1, processes=3, seconds=0) as (engine,):
        assert engine.more == []


def test_fewer_engines_have_more_time_each():
    given = argparse.Namespace(peers=["numpy"], seconds=None, processes=None, threads=1)
    assert profile_options("quick", "dense", given).seconds == pytest.approx(3.2)
    given.seconds = 0.5
    assert profile_options("quick", "dense", given).seconds == 0.5


def test_the_steady_profile_is_the_quick_one_three_times_as_long():
    given = argparse.Namespace(peers=["numpy"], seconds=None, processes=None, threads=1)
    for suite in ("dense", "open", "ingest"):
        quick, steady = (vars(profile_options(profile, suite, given)) for profile in ("quick", "steady"))
        longer = {name for name, value in quick.items() if steady[name] != value}
        assert longer == {"seconds", "repeats", "passes", "minutes"} | ({"opens"} if suite == "open" else set())
        assert all(steady[name] == pytest.approx(3 * quick[name]) for name in longer)
    given.seconds = 0.5
    assert profile_options("steady", "dense", given).seconds == 0.5


def test_passes_end_with_the_minutes_of_the_profile(monkeypatch, capsys):
    now = 0.0
    done = []

    def suite_of(name):
        def run(session):
            nonlocal now
            done.append((session.number, name, round(session.due, 2)))
            now += 30

        return argparse.Namespace(run=run)

    monkeypatch.setattr(benchmarks_run.importlib, "import_module", lambda name: suite_of(name.rpartition(".")[2]))
    monkeypatch.setattr(benchmarks_run, "time", argparse.Namespace(perf_counter=lambda: now))
    options = argparse.Namespace(threads=1, passes=3, minutes=2.5, seed=1)
    session = Session(options, argparse.Namespace(), started_at=0.0)
    benchmarks_run._passes({"filter": options, "quality": options}, session)
    # 60 s for the first; then without answers that are the same each time.
    assert [(number, name) for number, name, _ in done] == [
        (0, "filtering"),
        (0, "quality"),
        (1, "filtering"),
        (2, "filtering"),
    ]
    assert [due for *_, due in done[1:]] == [0.5, 1.0, 1.0]
    assert not session.shortened
    done.clear()
    now, options.minutes = 0.0, 1.9
    session = Session(options, argparse.Namespace(), started_at=0.0)
    benchmarks_run._passes({"filter": options, "quality": options}, session)
    assert [number for number, *_ in done] == [0, 0, 1]  # the third would end after 120 s
    assert "2 of 3 passes: 1.9 minutes are not enough for more" in capsys.readouterr().out
    assert not session.shortened
    now, options.minutes = 0.0, 1.0
    session = Session(options, argparse.Namespace(), started_at=0.0)
    benchmarks_run._passes({"filter": options, "quality": options}, session)
    assert session.number == 0
    assert session.shortened


def test_an_engine_that_fails_keeps_its_message(tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(4, dtype=np.float32))
    np.save(tmp_path / "queries.npy", np.eye(4, dtype=np.float32))
    with contenders({"numpy": "numpy_dense"}, tmp_path, 1) as (engine,):
        case = {"what": "search", "setting": 0, "k": 99, "batch": 1}  # more than there are rows
        with pytest.raises(WorkerError, match="ValueError"):
            engine.round(case, 0, 1)
        assert engine.round(case | {"k": 2}, 0, 1) > 0  # and its process lives on


def test_every_engine_is_described_and_known():
    assert isinstance(Contender("x", "y").label(0), str)
    for table in (peers.DENSE, peers.LEXICAL, peers.HYBRID):
        assert next(iter(table)) == "sightline"
        for module in table.values():
            engine = peers.load_peer(module)
            assert engine.description
            assert engine.modules
            assert engine.distribution
    assert set(peers.EXACT) <= peers.DENSE.keys()
    assert set(peers.SLOW_BUILDS) <= peers.DENSE.keys()
    assert peers.chosen(peers.LEXICAL, ["tantivy", "broken"]).keys() == {"sightline", "tantivy"}
    assert peers.chosen(peers.DENSE, ["broken"]).keys() == {"sightline", "broken"}


def test_the_report_shows_gaps_and_lost_comparisons(run_file):
    run = results.read(run_file)
    peer = next(row for row in run.rows if row.ratio is not None)
    peer.ratio = {"value": 0.5, "low": 0.4, "high": 0.6}
    gap = next(row for row in run.rows if row.engine == "numpy")
    gap.status, gap.problem, gap.median, gap.ratio = "missing", "not installed: numpy", None, None
    run.environment |= {"cpu_of_others": 0.01, "cpu_stolen": 0.0, "shortened": False}
    text = report.markdown(run, "run.json")
    assert "not idle" not in text
    assert "three rounds only" not in text
    assert "before the method below" not in text
    run.environment |= {"cpu_of_others": 0.2, "cpu_stolen": 0.05, "shortened": True, "passes": 1}
    text = report.markdown(run, "run.json")
    assert "**The machine was not idle** (others took 25% of its CPU time)" in text
    assert "**Some cases have three rounds only**" in text
    run.environment["passes"] = 2
    assert "**Some cases have three rounds a pass only**, 2 passes were made" in report.markdown(run, "run.json")
    del run.environment["passes"]
    assert "**These figures are from before the method below**" in report.markdown(run, "run.json")
    lost = text.partition("## Lost comparisons")[2].partition("## ")[0]
    if gap is not peer:
        assert peer.name in lost
    assert "not installed: numpy" in text


def test_docs_are_what_the_committed_runs_give():
    page = ROOT / "docs" / "benchmarks.md"
    run = results.merge([results.read(path) for path in COMMITTED])
    images = sorted(path.relative_to(page.parent).as_posix() for path in (page.parent / "benchmarks").glob("*.svg"))
    source = ", ".join(f"benchmarks/results/{path.name}" for path in COMMITTED)
    assert page.read_text(encoding="utf-8") == report.markdown(run, source, images)
    assert all(row.recall == 1 for row in run.rows if row.exact and row.recall is not None)
    for path in COMMITTED:
        assert not any(word in path.read_text(encoding="utf-8") for word in ("/home", "/tmp", "/root", "/work", "\\\\"))


def test_commands_list_themselves():
    done = benchmarks("--help")
    assert done.returncode == 0
    for name in ("run", "dense", "lexical", "hybrid", "ingest", "open", "filter", "quality", "compare", "report"):
        assert f"\n  {name} " in done.stdout
    assert benchmarks("nonsense").returncode == 2
    unknown = benchmarks("dense", "--peers", "hnswlibb")
    assert unknown.returncode == 2
    assert "invalid choice: 'hnswlibb'" in unknown.stderr
