"""``sightline demo``: index the documentation of this Python installation and answer questions about it three ways."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sightline.documents import Document, Hit, searched_text
from sightline.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from sightline.hybrid_index import HybridIndex

__all__ = ["run"]

QUESTIONS = (
    "how do I parse a date from a string",
    "run a function in parallel on many inputs",
    "temporary directory that is deleted afterwards",
    "remove duplicates while keeping the order",
    "read a file line by line without loading it into memory",
    "asyncio.gather return_exceptions",
)
_MODES = ("lexical", "dense", "hybrid")
_HITS = 4
_DIM = 192
# Three columns of results need this many characters; a narrower terminal gets them one below the other.
_WIDE = 100


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one mode said to one question, and how long the search took, the embedding of the question included."""

    hits: list[Hit]
    milliseconds: float


def run(question: str | None = None, *, as_json: bool = False) -> None:
    """Run the demo and print it.

    Parameters: question : asked instead of the built-in ones; as_json : print one JSON object and nothing else
    Raises:     MissingExtraError without scikit-learn or rich (extra ``demo``)
    """
    try:
        import_module("sklearn")  # needed later; better to say so before the work than after it
        from rich.console import Console
    except ImportError:
        raise MissingExtraError("the demo needs rich and scikit-learn: pip install 'sightline[demo]'") from None
    index, documents, seconds = _build(Console(stderr=True, quiet=as_json))
    questions = QUESTIONS if question is None else (question,)
    index.search(questions[0])  # wakes the thread pool, so that the first answer is timed like the others
    answers = {text: {mode: _ask(index, text, mode) for mode in _MODES} for text in questions}
    if as_json:
        print(json.dumps(_as_data(documents, seconds, answers), ensure_ascii=False, indent=2))
        return
    console = Console()
    for text, by_mode in answers.items():
        _print_answers(console, text, by_mode)
    _print_summary(console, documents, seconds)


class _Stages:
    """Stages of work, one after the other: a bar for each and the seconds it took."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._name = ""
        self._start = 0.0
        self._task: TaskID | None = None

    def begin(self, name: str) -> None:
        """End the current stage and begin the next."""
        self.end()
        self._name, self._start = name, time.perf_counter()
        self._task = self._progress.add_task(name, total=None)

    def report(self, done: int, total: int | None) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def end(self) -> None:
        """End the current stage, if there is one."""
        if self._task is not None:
            self.seconds[self._name] = time.perf_counter() - self._start
            self._progress.update(self._task, completed=1, total=1)
            self._progress.stop_task(self._task)
            self._task = None


def _build(console: Console) -> tuple[HybridIndex, list[Document], dict[str, float]]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from sightline.demo_corpus import collect
    from sightline.embed import LatentSemanticEmbedder
    from sightline.hybrid_index import HybridIndex

    columns = (TextColumn("{task.description:<20}"), BarColumn(24), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=console.quiet) as progress:
        stages = _Stages(progress)
        stages.begin("read documentation")
        documents = collect(stages.report)
        stages.begin("fit embedding")
        embedder = LatentSemanticEmbedder(_DIM).fit([searched_text(document) for document in documents])
        index = HybridIndex(embedder=embedder)
        started: list[str] = []

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in started:
                started.append(stage)
                stages.begin("embed" if stage == "embed" else "index dense, lexical")
            stages.report(done, total)

        index.add(documents, progress=report)
        stages.end()
    return index, documents, stages.seconds


def _ask(index: HybridIndex, text: str, mode: Any) -> _Answer:
    start = time.perf_counter()
    hits = index.search(text, _HITS, mode=mode)
    return _Answer(hits, (time.perf_counter() - start) * 1e3)


def _print_answers(console: Console, text: str, answers: dict[str, _Answer]) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print()
    console.rule(f"[bold]{escape(text)}", align="left")
    if console.width >= _WIDE:
        table = Table(expand=True, leading=1, box=_box())
        for mode, answer in answers.items():
            table.add_column(f"{mode}  {answer.milliseconds:.1f} ms", ratio=1, overflow="fold")
        for row in range(max((len(answer.hits) for answer in answers.values()), default=0)):
            table.add_row(*(_cell(answer.hits[row]) if row < len(answer.hits) else "" for answer in answers.values()))
        console.print(table)
        return
    for mode, answer in answers.items():
        table = Table(expand=True, leading=1, box=_box())
        table.add_column(f"{mode}  {answer.milliseconds:.1f} ms", overflow="fold")
        for hit in answer.hits:
            table.add_row(_cell(hit))
        console.print(table)


def _box() -> Any:
    from rich import box

    return box.SIMPLE_HEAD


def _cell(hit: Hit) -> str:
    """Return name and score, the parts of the score where there are two, the source and the first sentence."""
    from rich.markup import escape

    score = f"{hit.score:.3f}"
    if hit.dense_score is not None and hit.lexical_score is not None:
        score += f" [dim](cosine {hit.dense_score:.2f}, BM25 {hit.lexical_score:.1f})[/dim]"
    source = _source(hit)
    return f"[bold cyan]{escape(hit.id)}[/]  {score}\n[dim]{escape(source)}[/]\n{escape(_first_sentence(hit))}"


def _source(hit: Hit) -> str:
    line = hit.metadata.get("line")
    return f"{hit.metadata['source']}:{line}" if line else str(hit.metadata["source"])


def _first_sentence(hit: Hit) -> str:
    """Return the first sentence of a documentation text, without the signature that stands before it."""
    sentence = " ".join(hit.text.removeprefix(hit.metadata["signature"]).split()).partition(". ")[0]
    return sentence if len(sentence) <= 110 else sentence[:107] + "..."


def _memory_megabytes() -> float | None:
    """Return the peak resident memory of this process; None where Python cannot tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _print_summary(console: Console, documents: list[Document], seconds: dict[str, float]) -> None:
    console.print()
    stages = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    memory = _memory_megabytes()
    console.print(
        f"[bold]{len(documents):,} documents[/] in {sum(seconds.values()):.1f} s ({stages})"
        + ("." if memory is None else f"; peak memory {memory:.0f} MB, the embedding and Python included.")
    )
    console.print(
        "Every answer is exact: what brute force over all documents would give. "
        'Ask your own: [bold]sightline demo "your question"[/]',
    )


def _as_data(
    documents: list[Document], seconds: dict[str, float], answers: dict[str, dict[str, _Answer]]
) -> dict[str, Any]:
    memory = _memory_megabytes()
    return {
        "documents": len(documents),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory_mb": None if memory is None else round(memory, 1),
        "answers": [
            {
                "question": text,
                "modes": {
                    mode: {"milliseconds": round(answer.milliseconds, 3), "hits": [_hit_data(h) for h in answer.hits]}
                    for mode, answer in by_mode.items()
                },
            }
            for text, by_mode in answers.items()
        ],
    }


def _hit_data(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "id": hit.id,
        "score": hit.score,
        "dense_score": hit.dense_score,
        "lexical_score": hit.lexical_score,
        "source": _source(hit),
        "summary": _first_sentence(hit),
    }
