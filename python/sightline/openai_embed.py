"""Embeddings from an HTTP endpoint that speaks OpenAI's protocol, as many local servers do, too. Needs no package."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from sightline.errors import InvalidInputError, ModelError, checked_integer

__all__ = ["OpenAIEmbedder"]

_MOST_OF_AN_ERROR = 300  # characters of a refusal's body that a message quotes
_RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)  # answers that may be others in a moment
_FIRST_PAUSE = 0.5  # seconds; each further pause is twice as long
_LONGEST_PAUSE = 30.0


class OpenAIEmbedder:
    """Embed by ``POST <base_url>/embeddings``, in batches, with retries.

    Parameters: base_url : such as "http://localhost:8000/v1"; model : its name there, also the ``name`` that an index
                keeps; api_key : sent as a bearer token, never shown; dimensions : asked for, None for the model's own;
                batch_size : texts a request; query_prefix, document_prefix : put before each text, as the model's card
                asks for; timeout : seconds without an answer; retries : further attempts after a refused connection, a
                timeout or an answer such as 429 or 503, pausing as ``Retry-After`` says or 0.5 s, 1 s, 2 s ...
    Raises:     InvalidInputError if an argument has the wrong type or range
    Notes:      thread-safe; a call keeps one connection open from its first batch to its last
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        dimensions: int | None = None,
        batch_size: int = 64,
        query_prefix: str = "",
        document_prefix: str = "",
        timeout: float = 60.0,
        retries: int = 4,
    ) -> None:
        try:
            address = urlsplit(base_url) if isinstance(base_url, str) else urlsplit("")
            port = address.port
        except ValueError:
            address, port = urlsplit(""), None
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InvalidInputError(f"base_url: expected an http or https address, got {base_url!r}")
        if not isinstance(model, str) or not model:
            raise InvalidInputError(f"model: expected a name, got {model!r}")
        if api_key is not None and (not isinstance(api_key, str) or not api_key.isascii() or not api_key.isprintable()):
            raise InvalidInputError("api_key: expected printable ASCII characters or None")  # and never shown
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < float("inf"):
            raise InvalidInputError(f"timeout: expected seconds above 0, got {timeout!r}")
        for name, prefix in (("query_prefix", query_prefix), ("document_prefix", document_prefix)):
            if not isinstance(prefix, str):
                raise InvalidInputError(f"{name}: expected a str, got {type(prefix).__name__}")
        self.name = model if dimensions is None else f"{model} ({dimensions})"
        self._connect: type[HTTPConnection] = HTTPSConnection if address.scheme == "https" else HTTPConnection
        self._host, self._port = address.hostname, port
        self._path = address.path.rstrip("/") + "/embeddings"
        self._shown = f"{address.scheme}://{address.hostname}{f':{port}' if port else ''}{self._path}"
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._fields: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if dimensions is not None:
            self._fields["dimensions"] = checked_integer("dimensions", dimensions, 1)
        self._batch_size = checked_integer("batch_size", batch_size, 1)
        self._query_prefix, self._document_prefix = query_prefix, document_prefix
        self._timeout = float(timeout)
        self._retries = checked_integer("retries", retries, 0)

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({self._shown!r}, {self.name!r})"

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of passages, float32 (n, dim).

        Raises:     ModelError if the endpoint cannot be reached, refuses, or answers something else
        """
        return self._embed([self._document_prefix + text for text in texts])

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of queries, float32 (n, dim).

        Parameters: texts : list of str, to which ``query_prefix`` is added
        Raises:     ModelError if the endpoint cannot be reached, refuses, or answers something else
        """
        return self._embed([self._query_prefix + text for text in texts])

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        with closing(self._connect(self._host, self._port, timeout=self._timeout)) as connection:
            starts = range(0, len(texts), self._batch_size)
            parts = [self._batch(connection, texts[start : start + self._batch_size]) for start in starts]
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise ModelError(f"{self._shown}: answered vectors of {sorted(widths)} dimensions")
        return np.concatenate(parts)

    def _batch(self, connection: HTTPConnection, texts: list[str]) -> NDArray[np.float32]:
        body = self._post(connection, json.dumps(self._fields | {"input": texts}).encode())
        try:
            entries = json.loads(body)["data"]
            # The protocol numbers the vectors; servers are free in their order.
            found = {entry["index"]: entry["embedding"] for entry in entries}
            vectors = np.array([found[i] for i in range(len(texts))], dtype=np.float32)
            if len(entries) != len(texts) or vectors.ndim != 2:
                raise ValueError(f"{len(entries)} vectors of shape {vectors.shape}")
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{self._shown}: expected {len(texts)} embeddings, got something else "
                f"({type(error).__name__}: {error}): "
                f"{body[:_MOST_OF_AN_ERROR].decode(errors='replace')}"
            ) from None
        return vectors

    def _post(self, connection: HTTPConnection, body: bytes) -> bytes:
        pause = _FIRST_PAUSE
        for attempt in range(self._retries + 1):
            wait: float | None = None
            try:
                connection.request("POST", self._path, body, self._headers)
                response = connection.getresponse()
                answer = response.read()
                if response.status == 200:
                    return answer
                quoted = answer[:_MOST_OF_AN_ERROR].decode(errors="replace")
                problem = f"answered {response.status} {response.reason}: {quoted}"
                if response.status not in _RETRIED:
                    raise ModelError(f"{self._shown}: {problem}")
                wait = _seconds(response.getheader("Retry-After"))
            except (OSError, HTTPException) as error:
                connection.close()  # the next request opens it again
                problem = f"cannot be reached: {error or type(error).__name__}"
            if attempt < self._retries:
                time.sleep(min(pause if wait is None else wait, _LONGEST_PAUSE))
                pause *= 2
        raise ModelError(f"{self._shown}: {problem} (after {self._retries + 1} attempts)")


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:  # a date, which is rare
        return None
