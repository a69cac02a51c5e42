"""A language model behind an endpoint that speaks the chat protocol of OpenAI, as local servers do, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from sightline.errors import InvalidInputError, ModelError

__all__ = ["OpenAIChat"]

_MOST_OF_AN_ERROR = 300  # characters of a refusal's body that a message quotes


class OpenAIChat:
    """Call ``<base_url>/chat/completions``, streaming or not.

    Parameters: base_url : such as "http://localhost:8000/v1"; model : its name there; api_key : sent as a bearer token,
                never shown; stream : hand on pieces as they come; timeout : seconds without an answer; options :
                further fields of the request, such as temperature
    Raises:     InvalidInputError if an argument has the wrong type or range
    Notes:      needs no package; one connection a call; thread-safe
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        stream: bool = True,
        timeout: float = 60.0,
        **options: Any,
    ) -> None:
        if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
            raise InvalidInputError(f"base_url: expected an http or https address, got {base_url!r}")
        if not isinstance(model, str) or not model:
            raise InvalidInputError(f"model: expected a name, got {model!r}")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise InvalidInputError(f"timeout: expected seconds above 0, got {timeout!r}")
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._api_key = api_key
        self._stream = stream
        self._timeout = timeout
        self._options = options

    def __repr__(self) -> str:
        return f"OpenAIChat({self._url!r}, {self._model!r})"

    def __call__(self, messages: list[dict[str, str]]) -> str | Iterator[str]:
        """Return the answer, or an iterator of its pieces.

        Raises:     ModelError if the endpoint cannot be reached, refuses, or answers something else
        """
        response = self._open(messages)
        if self._stream:
            return self._pieces(response)
        with response:
            return _content(_json(self._read(response)), "message")

    def _open(self, messages: list[dict[str, str]]) -> Any:
        body = {"model": self._model, "messages": messages, "stream": self._stream, **self._options}
        headers = {"Content-Type": "application/json"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        request = Request(self._url, json.dumps(body).encode(), headers, method="POST")
        try:
            return urlopen(request, timeout=self._timeout)
        except HTTPError as error:
            with error:
                said = error.read(4 * _MOST_OF_AN_ERROR).decode("utf-8", "replace")[:_MOST_OF_AN_ERROR]
            raise ModelError(f"{self._url}: refused with status {error.code}: {said}") from None
        except (URLError, HTTPException, OSError) as error:
            raise ModelError(f"{self._url}: cannot be reached: {getattr(error, 'reason', error)}") from None

    def _read(self, response: Any) -> str:
        try:
            return str(response.read().decode("utf-8"))
        except (HTTPException, OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{self._url}: the answer broke off: {error}") from None

    def _pieces(self, response: Any) -> Iterator[str]:
        """Read server-sent events: lines "data: {...}", the last one "data: [DONE]"."""
        with response:
            while True:
                try:
                    line = response.readline()
                except (HTTPException, OSError) as error:
                    raise ModelError(f"{self._url}: the answer broke off: {error}") from None
                if not line:
                    raise ModelError(f"{self._url}: the answer broke off before its end")
                data = line.decode("utf-8", "replace").strip()
                if not data.startswith("data:"):
                    continue  # blank lines between events, comments that keep the connection open
                data = data.removeprefix("data:").strip()
                if data == "[DONE]":
                    return
                piece = _content(_json(data), "delta")
                if piece:
                    yield piece


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise ModelError(f"the endpoint answered something that is not JSON: {text[:_MOST_OF_AN_ERROR]!r}") from None


def _content(answer: Any, part: str) -> str:
    """Return choices[0][part]["content"]; pieces without text, such as the role or the usage, give an empty str."""
    if isinstance(answer, dict) and answer.get("error"):
        raise ModelError(f"the endpoint reported an error: {str(answer['error'])[:_MOST_OF_AN_ERROR]}")
    try:
        choices = answer["choices"]
        content = choices[0][part].get("content") if choices or part == "message" else ""
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ModelError(f"the endpoint's answer has no choices[0].{part}: {str(answer)[:_MOST_OF_AN_ERROR]}") from None
    if content is None and part == "delta":
        return ""
    if not isinstance(content, str):
        raise ModelError(f"the endpoint's answer has no text: {str(answer)[:_MOST_OF_AN_ERROR]}")
    return content
