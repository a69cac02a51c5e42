"""Readers of single formats, on small real files, good and bad; those of optional packages among them."""

from __future__ import annotations

import datetime
import decimal
import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optional import require

require("ingest", "bs4", "docutils", "pypdf", "pyarrow")

import pyarrow
import pyarrow.parquet
import pypdf

from pdf_maker import make_pdf
from sightline import HybridIndex, InvalidInputError, MissingExtraError, ReadOptions, StorageError, chunk_documents
from sightline.readers import chunk_format, read_files
from sightline.readers.files import _WHOLE

HTML = """<!doctype html><html><head><title>My  page</title><style>x{}</style></head><body><nav>menu</nav>
<h1>Head <em>one</em></h1><p>Some <b>bold</b> words &amp; caf\u00e9<br># no heading</p>
<ul><li>one<li>two <ul><li>inner</ul></ul><p>after</p>
<pre># code
  x</pre><table><tr><th>A</th><td>B</td></tr></table><!-- no --><script>no()</script><div>tail<div>inner</div>more</div>
<p hidden>no</p><h2></h2><h2>Last</h2>end</body></html>"""

HTML_TEXT = """# Head one

Some bold words & caf\u00e9
\\# no heading

- one

- two

- inner

after

```
# code
  x
```

| A | B |

tail

inner

more

## Last

end
"""

RST = """
=====
Title
=====

.. |ver| replace:: 3.12

Intro with :ref:`a link <target>` and :func:`~os.path.join` in |ver|, **bold** and `ext <http://x>`_.

.. toctree::
   :maxdepth: 2

   a

Part
====

.. function:: foo(x, *, y=1)
   :module: bar

   Does the foo of *x*.

   .. code-block:: python

      # a comment
      foo(1)

- item one
- item two

  more

term
    Definition.

:param x: thing

====  =====
A     B
====  =====
1     two
====  =====

.. note:: Mind the gap.

.. include:: /etc/passwd

.. raw:: html

   <b>no</b>

Deep
----

::

   literal
"""

RST_TEXT = """# Title

Intro with a link and os.path.join in 3.12, bold and ext.

## Part

foo(x, *, y=1)

Does the foo of x.

```
# a comment
foo(1)
```

- item one

- item two

more

term: Definition.

param x: thing

| A | B |
| 1 | two |

Note: Mind the gap.

### Deep

```
literal
```
"""


def read(path: Path, data: bytes | str, **options):
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_files(path, options=ReadOptions(**options)))


def test_html(tmp_path):
    (page,) = read(tmp_path / "page.html", HTML)
    assert page.text == HTML_TEXT
    assert page.metadata == {"path": str(tmp_path / "page.html"), "format": "html", "title": "My page"}
    chunks = list(chunk_documents([page], format=chunk_format))
    assert [chunk.title for chunk in chunks] == ["My page > Head one", "My page > Head one > Last"]
    for chunk in chunks:
        assert page.text[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.text
    (page,) = read(tmp_path / "main.htm", "<body>outside<main><h3>Only</h3>this</main></body>")
    assert (page.text, page.title) == ("### Only\n\nthis\n", "Only")
    latin = HTML.replace("<head>", '<head><meta charset="iso-8859-1">').encode("latin-1")
    assert read(tmp_path / "latin.html", latin)[0].text == HTML_TEXT
    assert read(tmp_path / "told.html", HTML.encode("cp1252"), encoding="cp1252")[0].text == HTML_TEXT
    layout = "<table><tr><td><p>one</p><p>two</p></td></tr></table>"
    assert read(tmp_path / "layout.html", layout)[0].text == "one\n\ntwo\n"
    assert read(tmp_path / "empty.html", "")[0].text == ""


def test_html_that_nests_too_deep_is_an_error(tmp_path):
    with pytest.raises(InvalidInputError, match=r"deep\.html' its elements are nested too deep"):
        read(tmp_path / "deep.html", "<div>" * 20_000 + "x")


def test_rst(tmp_path, capfd):
    (page,) = read(tmp_path / "page.rst", RST)
    assert page.text == RST_TEXT
    assert page.title == "Title"
    assert chunk_format(page) == "markdown"
    assert capfd.readouterr() == ("", "")  # docutils says nothing, of unknown roles either
    (plain,) = read(tmp_path / "plain.rst", "Only words.\n")
    assert (plain.text, plain.title) == ("Only words.\n", "plain")


@given(text=st.text(max_size=60) | st.lists(st.sampled_from(RST.splitlines(keepends=True)), max_size=15).map("".join))
def test_any_text_is_read_by_every_reader_of_text(text):
    """Whatever a file holds: an answer, or an error of ours."""
    for reader in _WHOLE.values():
        try:
            parts = reader(text.encode("utf-8", "replace"), ReadOptions())
        except InvalidInputError:
            continue
        assert all(isinstance(part.text, str) and part.text.isprintable is not None for part in parts)


def test_pdf(tmp_path):
    pages = [["First page, one line.", "And another."], [], ["Caf\xe9 on the third."]]
    documents = read(tmp_path / "book.pdf", make_pdf(pages, "The  book"))
    assert [(page.id, page.text, page.title) for page in documents] == [
        (f"{tmp_path}/book.pdf#page=1", "First page, one line.\nAnd another.", "The book"),
        (f"{tmp_path}/book.pdf#page=3", "Caf\xe9 on the third.", "The book"),
    ]
    assert documents[1].metadata == {
        "path": f"{tmp_path}/book.pdf", "format": "pdf", "page": 3, "title": "The book",
    }  # fmt: skip
    index = HybridIndex()
    index.add(chunk_documents(documents, format=chunk_format))
    assert index.search("third caf\xe9", 1)[0].metadata["page"] == 3
    assert read(tmp_path / "untitled.pdf", make_pdf(pages))[0].title == "untitled"
    assert read(tmp_path / "scan.pdf", make_pdf([[], []])) == []


def encrypted(password):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(make_pdf([["secret words"]])))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdf_that_cannot_be_read(tmp_path):
    assert read(tmp_path / "open.pdf", encrypted(""))[0].text == "secret words"
    whole = make_pdf([["words"]])
    for data, message in [
        (encrypted("key"), "is encrypted; remove its password"),
        (b"no pdf", "cannot be read as PDF"),
        (b"", "cannot be read as PDF"),
        (whole[:80], "cannot be read as PDF"),
    ]:
        with pytest.raises(InvalidInputError, match=rf"bad\.pdf' {message}"):
            read(tmp_path / "bad.pdf", data)


def test_parquet(tmp_path):
    table = pyarrow.table(
        {
            "id": [7, 8],
            "text": ["first words", None],
            "day": [datetime.date(2024, 5, 1), None],
            "price": pyarrow.array([decimal.Decimal("1.50"), None]),
            "tags": [["a", "b"], []],
            "inner": [{"x": 1, "raw": b"no"}, None],
            "raw": [b"no", b"no"],
            "nan": [float("nan"), 2.0],
        }
    )
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(table, path)
    first, second = read_files(path)
    assert (first.id, first.text, second.text) == (f"{path}#7", "first words", "")
    common = {"path": str(path), "format": "parquet"}
    assert first.metadata == common | {
        "record": "7", "day": datetime.date(2024, 5, 1), "price": 1.5, "tags": ["a", "b"], "inner": {"x": 1},
    }  # fmt: skip
    assert second.metadata == common | {"record": "8", "tags": [], "nan": 2.0}
    HybridIndex().add([first, second])
    for data in (b"", b"PAR1 no parquet PAR1", path.read_bytes()[:-20]):
        with pytest.raises(InvalidInputError, match=r"bad\.parquet: cannot be read as Parquet"):
            read(tmp_path / "bad.parquet", data)
    with pytest.raises(StorageError, match=r"gone\.parquet' does not exist"):
        list(read_files(tmp_path / "gone.parquet"))


@pytest.mark.parametrize(
    ("package", "name", "what"),
    [
        ("bs4", "x.html", "HTML needs beautifulsoup4"),
        ("docutils.nodes", "x.rst", "reStructuredText needs docutils"),
        ("pypdf", "x.pdf", "PDF needs pypdf"),
        ("pyarrow", "x.parquet", "Parquet needs pyarrow"),
    ],
)
def test_without_a_package_the_extra_is_named(tmp_path, monkeypatch, package, name, what):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=rf"reading {what}: pip install 'sightline\[ingest\]'"):
        list(read_files(tmp_path, on_error=lambda file, error: None))
