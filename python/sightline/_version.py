"""The version, read from the installed distribution so that pyproject.toml is its only home."""

from importlib.metadata import version

__version__ = version("sightline")
