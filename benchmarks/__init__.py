"""Benchmarks of Sightline against its peers: ``python -m benchmarks dense`` and ``python -m benchmarks lexical``.

Every speed is a ratio, measured side by side in one run, after the results have been checked to be equal.
"""
