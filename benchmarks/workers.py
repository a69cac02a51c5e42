"""Engines in processes of their own: started, built one after another, asked in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import peers

__all__ = ["Contender", "WorkerError", "contenders", "environment_for"]

_THREAD_VARIABLES = (
    "SIGHTLINE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
    "LANCE_IO_THREADS",
)
# How long threads of OpenBLAS spin after a call, as a power of two in clock ticks: 2 ms. By default it is 100 ms, which
# a slice would wait for at its end. Calls of one slice follow each other within microseconds.
_SPINNING = {"OPENBLAS_THREAD_TIMEOUT": "22"}


class WorkerError(RuntimeError):
    """An engine failed; the message is its own."""


def environment_for(threads: int) -> dict[str, str]:
    """This environment with every library held to ``threads`` threads; CPUs are set besides, by affinity."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *(entry for entry in sys.path if entry)])
    return os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads)) | _SPINNING | {"PYTHONPATH": path}


class Worker:
    """A process that holds one engine."""

    def __init__(self, module: str, threads: int, inputs: Path, folder: Path) -> None:
        self._log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env=environment_for(threads),
        )
        self._send({"module": module, "threads": threads, "inputs": str(inputs), "folder": str(folder)})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self._send({"do": do, **arguments})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f"ended with code {code}: {lines[-1] if lines else 'no message'}"

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@dataclass
class Contender:
    """An engine that was asked for: with its process if it is there, else with the reason why not."""

    name: str
    module: str
    version: str | None = None
    built: dict[str, Any] | None = None
    problem: str | None = None  # "not installed: ..." or the message of its failure
    worker: Worker | None = None
    more: list[Worker] = field(default_factory=list)  # other processes with the same index, built anew
    folder: Path | None = None
    left_out: bool = False

    @property
    def gap(self) -> str:
        """The status of its rows where there is no process to ask."""
        if self.left_out:
            return "left out"
        return "missing" if self.version is None else "failed"

    def label(self, setting: int) -> str:
        settings = self.built["settings"] if self.built else []
        return f"{self.name} {settings[setting]['label']}".strip() if settings else self.name

    def ids(self, case: dict[str, Any], count: int) -> tuple[npt.NDArray[np.int64], int | None, float | None]:
        """The answers to the first ``count`` queries, the bytes that one call reads if the engine tells, and the
        milliseconds that it takes if there were several.
        """
        assert self.worker is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ids.npy"
            reply = self.worker.ask("answers", case=case, count=count, path=str(path))
            return np.load(path), reply["bytes_read"], reply["milliseconds"]

    def round(self, case: dict[str, Any], first: int, calls: int, process: int = 0) -> float:
        """Milliseconds of one call in a slice of ``run_round``; in process number ``process``, as far as there are."""
        assert self.worker is not None
        worker = [self.worker, *self.more][process % (1 + len(self.more))]
        milliseconds: float = worker.ask("round", case=case, first=first, calls=calls)["milliseconds"]
        return milliseconds

    def close(self) -> None:
        for worker in [self.worker, *self.more]:
            if worker is not None:
                worker.close()
        self.worker, self.more = None, []


@contextmanager
def contenders(
    table: dict[str, str],
    inputs: Path,
    threads: int,
    *,
    build: bool = True,
    folder: Path | None = None,
    left_out: Mapping[str, str] | None = None,
    processes: int = 1,
    seconds: float = 0.0,
    described: bool = True,
) -> Iterator[list[Contender]]:
    """Start every engine of ``table`` and build it, one at a time; those that are missing or fail stay as gaps, and so
    do those of ``left_out``, with the reason that it gives.

    ``processes``: an engine that is started and built within ``seconds`` is so again, in so many processes: what
    differs between two of them (memory layout, threads) is then seen within a run.
    ``described``: whether building is measured and the index saved; if not, all start at once, which takes less time.
    """
    found: list[Contender] = []
    with tempfile.TemporaryDirectory(dir=folder) as folders:
        try:
            for name, module in table.items():
                contender = Contender(name, module)
                found.append(contender)
                lacking = peers.missing(module)
                if lacking:
                    contender.problem = f"not installed: {', '.join(lacking)}"
                    continue
                contender.version = peers.version(module)
                if left_out and name in left_out:
                    contender.problem, contender.left_out = left_out[name], True
                    continue
                contender.folder = Path(folders) / name
                contender.folder.mkdir()
                if not described:
                    contender.worker = Worker(module, threads, inputs, contender.folder)
            for contender in found:
                if contender.folder is None:
                    continue
                start = time.perf_counter()
                if contender.worker is None:
                    contender.worker = Worker(contender.module, threads, inputs, contender.folder)
                if not build:
                    continue
                try:
                    contender.built = contender.worker.ask("build" if described else "prepare")
                    if time.perf_counter() - start <= seconds:
                        _build_more(contender, processes - 1, threads, inputs)
                except WorkerError as error:
                    contender.problem = f"failed: {error}"
                    contender.close()
            yield found
        finally:
            for contender in found:
                contender.close()


def _build_more(contender: Contender, count: int, threads: int, inputs: Path) -> None:
    assert contender.folder is not None
    for number in range(count):
        folder = contender.folder.with_name(f"{contender.name}.{number + 1}")
        folder.mkdir()
        contender.more.append(Worker(contender.module, threads, inputs, folder))
        contender.more[-1].ask("prepare")
