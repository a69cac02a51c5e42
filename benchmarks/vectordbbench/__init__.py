"""A client of VectorDBBench (github.com/zilliztech/VectorDBBench) for HybridIndex on disk: ``config`` and ``client``.

Copy this folder to ``vectordb_bench/backend/clients/sightline`` of a checkout and add ``Sightline = "Sightline"`` to
the enumeration ``DB`` in ``clients/__init__.py``, with the three classes at its properties ``init_cls``, ``config_cls``
and ``case_config_cls``.
"""
