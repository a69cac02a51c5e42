"""Table: columns and rows stay aligned, whoever builds the columns and whenever."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from sightline.columns import Columns
from sightline.documents import Document
from sightline.filters import parse_filter
from sightline.table import Ids, Mask, Table


class Elsewhere:
    """Rows of which the even ones are of tenant 0, the odd ones of tenant 1."""

    def documents(self, ids: Sequence[int]) -> list[Document]:
        return [Document(f"d{row}", "", {"tenant": row % 2}) for row in ids]

    def names(self, ids: Sequence[int]) -> list[str]:
        return [f"d{row}" for row in ids]

    def embedded(self, ids: Sequence[int]) -> list[bool]:
        return [False] * len(ids)

    def columns(self, ids: Ids, live: Mask | None) -> Columns:
        return Columns().extended({"tenant": row % 2} for row in ids.tolist())


def _flags(count: int) -> Mask:
    return np.zeros(count, dtype=np.bool_)


def test_columns_built_after_the_writer_looked_do_not_shift_later_rows() -> None:
    tenant = parse_filter({"tenant": 1})
    table = Table.of_records(Elsewhere(), np.arange(4), 4, _flags(4), _flags(4))
    assert table.count(tenant) == 2  # while another thread filters
    added = np.arange(5, 8)
    table = table.after(np.empty(0, dtype=np.intp), (), _flags(3), _flags(3), (), ids=added)  # without their metadata
    more = np.array([8, 9, 11])
    for _ in range(2):
        selected = table.select(tenant)
        assert selected is not None
        assert set(table.row_ids[selected] % 2) == {1}
        assert table.count(tenant) == int(np.count_nonzero(table.row_ids % 2))
        texts = [json.dumps({"tenant": row % 2}) for row in more.tolist()]
        table = table.after(
            np.empty(0, dtype=np.intp),
            (),
            _flags(3),
            _flags(3),
            ids=more,
            extend=lambda columns, texts=texts: columns.extended_json(texts),  # type: ignore[misc]
        )
        more = more + 10
