"""Micro-benchmarks: ``pytest benchmarks/micro``, and the gate that CI runs, ``python -m benchmarks.micro.gate check``."""
