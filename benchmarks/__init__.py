"""Benchmarks of Sightline against its peers: ``python -m benchmarks`` lists the commands.

Every speed is a ratio, measured side by side in one run. Answers are compared with exact ones first, and a wrong one of
an engine that promises exact answers ends the run. ``results.schema.json`` says what a run leaves.
"""
