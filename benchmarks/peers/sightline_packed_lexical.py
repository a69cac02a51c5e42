"""BM25Index with packed postings: about half the memory, unpacked as they are searched."""

from __future__ import annotations

from benchmarks.peers import sightline_lexical


class Engine(sightline_lexical.Engine):
    description = 'BM25Index, postings="packed"'
    postings = "packed"
