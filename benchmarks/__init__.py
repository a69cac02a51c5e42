"""Benchmarks of Sightline against its peers: ``python -m benchmarks dense`` and ``python -m benchmarks lexical``.

Every speed is a ratio, measured side by side in one run. Our own results are compared with exact ones first, and a
wrong answer ends the run; of peers the recall is printed.
"""
