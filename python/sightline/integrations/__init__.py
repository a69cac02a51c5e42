"""Adapters to the frameworks that pipelines are built with: one module a framework, each an optional extra.

A module here is imported by name (``from sightline.integrations.langchain import SightlineVectorStore``); without its
framework that is a MissingExtraError naming the extra.
"""
