"""HybridIndex with fields and positions: scores of a BM25Index with the same, whatever was written, sealed, merged."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import sightline as sl
import sightline.durable
import sightline.maintenance
from sightline import Document, HybridIndex

WORDS = ["apple", "banana", "cherry", "river", "stone", "cloud"]
QUERIES = ["apple river", "cherry", "stone cloud banana", "absent"]
PARSED = ['"apple river"', '+"river stone" cloud', 'apple -"apple apple"', '-"cloud"', '"stone"']
FIELDS: list[Any] = [None, {"title": 2.0, "text": 1.0}, {"text": 1.0}, ["title"], {"title": sl.Field(3.0, 0.2)}]


def _document(name: str, version: int) -> Document:
    source = random.Random(f"{name} {version}")
    title = " ".join(source.choices(WORDS, k=source.randrange(4)))
    text = " ".join(source.choices(WORDS, k=source.randrange(9)))
    return Document(name, text, {"part": version % 2}, None, source.choice([None, title]))


def _searched(document: Document, fields: Any) -> Any:
    if fields is None:
        return f"{document.title} {document.text}" if document.title else document.text
    parts = {"title": document.title, "text": document.text}
    return {name: part for name, part in parts.items() if name in fields and part}


def _check(index: HybridIndex, live: dict[str, Document], fields: Any, positions: bool) -> None:
    """Compare with a BM25Index of the same documents in the order of writing."""
    names = index.ids()
    assert set(names) == set(live)
    plain = sl.BM25Index(fields=fields, positions=positions)
    if names:
        numbers = [i for i, name in enumerate(names) if _has_words(live[name], fields)]
        plain.add([_searched(live[names[i]], fields) for i in numbers], numbers)
    queries: list[Any] = [*QUERIES, *map(sl.parse_query, PARSED if positions else ["+apple -stone river", "-cloud"])]
    for query in queries:
        scores, ids = plain.search(query, 100)
        expected = [(names[i], s) for s, i in zip(scores.tolist(), ids.tolist(), strict=True) if i >= 0]
        hits = index.search(query, 100, mode="lexical", explain=True)
        assert [(hit.id, hit.score) for hit in hits] == expected
        for hit in hits[:3]:
            assert hit.explanation is not None
            parts = hit.explanation["lexical"]["terms"]
            assert sum(term["contribution"] for term in parts) == pytest.approx(hit.score, rel=1e-6)
            if fields is not None and parts:
                assert [part.field for part in parts[0]["fields"]] == list(fields)


def _has_words(document: Document, fields: Any) -> bool:
    searched = _searched(document, fields)
    return bool((searched if isinstance(searched, str) else " ".join(searched.values())).strip())


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("durable", [False, True])
def test_scores_are_those_of_a_fresh_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: Any, positions: bool, durable: bool
) -> None:
    monkeypatch.setattr(sightline.maintenance, "_SEAL_ROWS", 12)
    monkeypatch.setattr(sightline.durable, "_DIRECT_ROWS", 20)
    monkeypatch.setattr(sightline.durable, "_GROUP_ROWS", 15)
    monkeypatch.setattr(sightline.durable.DurableKeeper, "background", False)
    options: dict[str, Any] = {"fields": fields, "positions": positions}
    index = HybridIndex(tmp_path / "kb" if durable else None, batch_size=5, **options)
    live: dict[str, Document] = {}
    source = random.Random(1)
    for step in range(12):
        written = [_document(f"d{i}", step) for i in source.sample(range(60), source.choice([1, 5, 30]))]
        index.upsert(written)
        live |= {document.id: document for document in written}
        dead = [f"d{i}" for i in source.sample(range(60), 4)]
        index.delete(dead)
        live = {name: document for name, document in live.items() if name not in dead}
        if step % 4 == 1:
            index.compact()
        if durable and step % 3 == 2:
            index._keeper._maintain_once()  # type: ignore[attr-defined]
            index.close()
            index = HybridIndex(tmp_path / "kb", batch_size=5, **options)
        if step % 3 == 0 or step == 11:
            _check(index, live, fields, positions)
    if durable:
        assert index.verify()["documents"] == len(live)
        with HybridIndex.open(tmp_path / "kb", read_only=True) as reader:
            _check(reader, live, fields, positions)
            index.upsert([Document("new", "cherry", title="river stone")])
            live["new"] = Document("new", "cherry", title="river stone")
            _check(reader, live, fields, positions)
    index.close()


def test_other_fields_or_positions_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    HybridIndex(folder, fields={"title": 2.0, "text": 1.0}, positions=True).close()
    HybridIndex(folder, fields={"text": 1.0, "title": 2.0}, positions=True).close()
    with HybridIndex(folder) as index:
        assert index.stats()["settings"]["fields"] == [["title", 2.0, None], ["text", 1.0, None]]
        assert index.stats()["settings"]["positions"] is True
    for options, name in (
        ({"fields": {"title": 3.0, "text": 1.0}}, "fields"),
        ({"fields": ["title"]}, "fields"),
        ({"positions": False}, "positions"),
    ):
        with pytest.raises(sl.IncompatibleIndexError, match=f"{name}: the index was made with"):
            HybridIndex(folder, **options)  # type: ignore[arg-type]
    HybridIndex(tmp_path / "plain").close()
    with pytest.raises(sl.IncompatibleIndexError, match="fields: the index was made with None"):
        HybridIndex(tmp_path / "plain", fields=["title", "text"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"body": 1.0}}, "fields: expected 'title' and 'text', which documents have, got 'body'"),
        ({"fields": {"title": -1.0}}, r"fields\['title'\]: weight"),
        ({"fields": {}}, "fields: expected at least one name"),
        ({"positions": 1}, "positions: expected True, False or None, got 1"),
    ],
)
def test_bad_fields(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    for path in (None, tmp_path / "kb"):
        with pytest.raises(sl.InvalidInputError, match=message):
            HybridIndex(path, **options)
    assert not (tmp_path / "kb").exists()


def test_a_hybrid_search_takes_fields_and_phrases() -> None:
    index = HybridIndex(fields={"title": 5.0, "text": 1.0}, positions=True)
    index.add(
        [
            Document("in text", "about apple river and more", vector=[1.0, 0.0]),
            Document("in title", "nothing", vector=[1.0, 0.0], title="apple river"),
            Document("apart", "river then apple", vector=[1.0, 0.0], title="apple"),
            Document("vector only", "", vector=[1.0, 0.0]),
        ]
    )
    found = index.search("apple river", vector=[1.0, 0.0])
    assert [hit.id for hit in found][:1] == ["in title"]
    assert {hit.id for hit in found} == {"in text", "in title", "apart", "vector only"}
    parsed = sl.parse_query('"apple river"')
    assert [hit.id for hit in index.search(parsed, vector=[1.0, 0.0])] == ["in title", "in text"]
    assert {hit.id for hit in index.search(sl.parse_query('-"apple river"'), vector=[1.0, 0.0])} == {
        "apart",
        "vector only",
    }
