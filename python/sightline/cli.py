"""The command line: ``sightline`` and ``python -m sightline``. Other commands are in cli_files and cli_index."""

from __future__ import annotations

import json
import platform
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from sightline import cli_files, cli_index
from sightline.errors import MissingExtraError, SightlineError

__all__ = ["main"]

# What each extra brings that can be imported.
_EXTRAS = {
    "cli": ("typer", "rich"),
    "lsa": ("sklearn",),
    "embed": ("sentence_transformers",),
    "rerank": ("sentence_transformers", "rerankers"),
    "eval": ("ir_measures",),
    "ingest": ("bs4", "docutils", "pypdf", "pyarrow"),
    "langchain": ("langchain_core",),
    "llama-index": ("llama_index",),
    "haystack": ("haystack",),
    "mteb": ("mteb",),
    "charts": ("matplotlib",),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0: done; 1: an error of Sightline, as one sentence on stderr; 2: wrong usage or a missing extra.
    """
    try:
        import typer
    except ImportError:
        print("sightline: the command line needs typer and rich: pip install 'sightline[cli]'", file=sys.stderr)
        return 2
    try:
        result = _app(typer)(args=arguments, prog_name="sightline", standalone_mode=False)
    except MissingExtraError as error:
        print(f"sightline: {error}", file=sys.stderr)
        return 2
    except SightlineError as error:
        print(f"sightline: {error}", file=sys.stderr)
        return 1
    except typer.Exit as error:
        return int(error.exit_code)
    except typer.Abort:
        return 130
    except Exception as error:
        show = getattr(error, "show", None)  # usage errors, whose base class typer does not export
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", 2))
    return result if isinstance(result, int) else 0


def _app(typer: Any) -> Any:
    app = typer.Typer(
        help="Embedded hybrid retrieval: exact dense search, BM25 and their fusion.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    as_json = typer.Option(False, "--json", help="Print one JSON object instead of tables.")

    def demo(
        question: str = typer.Argument(None, help="Your own question; without it a handful are asked."),
        as_json: bool = as_json,
    ) -> None:
        """Index this Python's own documentation and answer questions about it three ways."""
        from sightline.demo import run

        run(question, as_json=as_json)

    def doctor(as_json: bool = as_json) -> None:
        """Show the CPU's features, the kernels chosen and why, threads and versions."""
        _doctor(as_json)

    mode = typer.Option([], help="hybrid, dense or lexical; repeat to compare with the first. Default: all there are.")
    setting = typer.Option(
        [],
        help='lexical, dense, hybrid, or NAME={"mode": "hybrid", "alpha": 0.3}; also where, rrf, diversity, group_by. '
        "Repeat to compare with the first.",
    )
    measure = typer.Option([], help="As ir-measures names them. Repeat for more. Default: nDCG@10, R@100, P@10 ...")

    def eval(
        target: str = typer.Argument(
            metavar="KB|COLLECTION", help="Directory of an index, or a folder with corpus.jsonl[.gz], as BEIR has them."
        ),
        queries: str = typer.Option(
            None, help="BEIR JSON lines, TREC topics or id-tab-text; default queries.jsonl of a collection."
        ),
        qrels: str = typer.Option(None, help="Judgments, BEIR or TREC; default qrels/test.tsv of a collection."),
        vectors: str = typer.Option(
            None, help="Documents' vectors (.npy), a row a line; default docs.npy of a collection."
        ),
        query_vectors: str = typer.Option(
            None, help="Queries' vectors (.npy), a row a line; default queries.npy of a collection."
        ),
        embedder: str = typer.Option(
            None, help="lsa, sentence-transformers:MODEL or openai:URL#MODEL; an index has its own."
        ),
        api_key: str = typer.Option(None, envvar="OPENAI_API_KEY", help="For openai:URL#MODEL; never kept."),
        mode: list[str] = mode,
        setting: list[str] = setting,
        where: str = typer.Option(None, help="Filter over the metadata, for all settings that have none."),
        judged_by: str = typer.Option(
            None, help="Metadata field that judgments name in place of ids, such as source or record for chunks."
        ),
        ignore_identical_ids: bool = typer.Option(
            False, "--ignore-identical-ids", help="Leave out a document that has the query's id, as BEIR does."
        ),
        measure: list[str] = measure,
        k: int = typer.Option(100, "--k", "-k", help="Hits to retrieve."),
        held_out: float = typer.Option(
            None, help="Choose the setting on the other queries and report it on this share of them."
        ),
        runs: str = typer.Option(None, help="Folder to write the ranked lists to, in TREC's form."),
        chart: str = typer.Option(None, help="File to draw means and per-query gains into: .png, .svg, .pdf ..."),
        ragas: str = typer.Option(None, help="File to write the first setting's contexts to, as JSON lines for ragas."),
        show: int = typer.Option(0, help="Show so many queries that gained most, and that lost most."),
        as_json: bool = as_json,
    ) -> None:
        """Measure search quality of an index or on a judged collection, and compare settings."""
        from sightline.eval_command import EvalOptions, run

        run(
            target,
            EvalOptions(
                queries, qrels, vectors, query_vectors, embedder, api_key, mode, setting, where, judged_by,
                ignore_identical_ids, measure, k, held_out, runs, chart, ragas, show, as_json,
            ),
        )  # fmt: skip

    def mteb(
        collection: str = typer.Argument(help="Folder with corpus.jsonl[.gz], as BEIR has them."),
        queries: str = typer.Option(None, help="As for eval; also the next three."),
        qrels: str = typer.Option(None),
        vectors: str = typer.Option(None),
        query_vectors: str = typer.Option(None),
        embedder: str = typer.Option(
            None, help="sentence-transformers:, fastembed: or model2vec:MODEL, openai:URL#MODEL; not vectors."
        ),
        api_key: str = typer.Option(None, envvar="OPENAI_API_KEY", help="For openai:URL#MODEL."),
        mode: str = typer.Option(None, help="hybrid, dense or lexical; default hybrid where there are vectors."),
        alpha: float = typer.Option(None, help="Share of the dense score in hybrid mode."),
        as_json: bool = as_json,
    ) -> None:
        """Have MTEB measure a judged collection on disk."""
        from sightline.mteb_command import run

        run(
            collection,
            queries=queries,
            qrels=qrels,
            vectors=vectors,
            query_vectors=query_vectors,
            embedder=embedder,
            api_key=api_key,
            mode=mode,
            alpha=alpha,
            as_json=as_json,
        )

    def show_version(wanted: bool) -> None:
        if wanted:
            print(f"sightline {version('sightline')}")
            raise typer.Exit

    def root(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        pass

    app.callback()(root)
    app.command()(demo)
    app.command()(doctor)
    cli_files.add_commands(app, typer, as_json)
    cli_index.add_commands(app, typer, as_json)
    app.command()(eval)
    app.command()(mteb)
    return app


def _doctor(as_json: bool) -> None:
    facts = _facts()
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    cpu = facts["cpu"]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [
        ("kernels", f"[bold green]{cpu['isa']}[/]: {cpu['reason']}"),
        ("usable here", ", ".join(cpu["available"])),
        ("in this build", ", ".join(cpu["compiled"])),
        ("CPU features", ", ".join(cpu["features"]) or "none beyond the baseline"),
        ("threads", f"{cpu['threads']} of {cpu['cpus']} usable CPUs"),
    ]
    rows += [(name, text) for name, text in facts["versions"].items()]
    rows += [("platform", facts["platform"])]
    rows += [(f"extra {name}", text) for name, text in facts["extras"].items()]
    for name, text in rows:
        table.add_row(name, text)
    Console().print(table)


def _facts() -> dict[str, Any]:
    from sightline.runtime import cpu_info

    return {
        "cpu": cpu_info(),
        "versions": {
            "sightline": version("sightline"),
            "Python": f"{platform.python_version()} ({platform.python_implementation()})",
            "NumPy": import_module("numpy").__version__,
            "PyStemmer": _distribution("PyStemmer"),
        },
        "platform": platform.platform(),
        "extras": {name: _extra(modules) for name, modules in _EXTRAS.items()},
    }


def _distribution(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _extra(modules: tuple[str, ...]) -> str:
    missing = [module for module in modules if find_spec(module) is None]
    return "installed" if not missing else f"not installed (no {', '.join(missing)})"
