"""Readers: files of several formats to documents, one module a family of formats (extra ``ingest``).

``files`` finds files and gives each to the reader of its format; ``prose`` reads text and Markdown, ``html``, ``rst``
and ``pdf`` what their names say, ``records`` JSON lines, CSV and Parquet.
"""

from __future__ import annotations

from sightline.readers.files import FORMATS, File, chunk_format, find_files, read_file, read_files
from sightline.readers.parts import Part, ReadOptions

__all__ = ["FORMATS", "File", "Part", "ReadOptions", "chunk_format", "find_files", "read_file", "read_files"]
