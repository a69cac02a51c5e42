"""Micro-benchmarks, ``pytest benchmarks/micro``, and the gate of CI, ``python -m benchmarks.micro.gate check``."""
