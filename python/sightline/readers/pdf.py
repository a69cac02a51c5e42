"""PDF, by pypdf: the text of each page."""

from __future__ import annotations

from io import BytesIO

from sightline.errors import InvalidInputError, MissingExtraError
from sightline.readers.parts import Part, ReadOptions, one_line

__all__ = ["read_pdf"]


def read_pdf(data: bytes, options: ReadOptions) -> list[Part]:
    """Return the pages that have text; scanned ones without recognised text have none.

    Raises:     MissingExtraError without pypdf; InvalidInputError if it is encrypted, damaged or no PDF
    """
    try:
        import pypdf
    except ImportError:
        raise MissingExtraError("reading PDF needs pypdf: pip install 'sightline[ingest]'") from None
    try:
        reader = pypdf.PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidInputError("is encrypted; remove its password first")
        title = one_line((reader.metadata and reader.metadata.title) or "") or None
        texts = [page.extract_text() for page in reader.pages]
    except InvalidInputError:
        raise
    except Exception as error:  # damage shows as errors of every kind
        raise InvalidInputError(f"cannot be read as PDF ({type(error).__name__}: {error})") from None
    return [Part(_clean(text), title, page=number) for number, text in enumerate(texts, start=1) if text.strip()]


def _clean(text: str) -> str:
    """Return text that has an UTF-8 form: fonts without a map of characters yield halves of pairs."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "").strip()
