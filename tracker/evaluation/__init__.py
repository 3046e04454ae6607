"""Protocols, loaders, runner and report behind ``tools/evaluate.py`` and ``tools/benchmark.py``.

Nothing here imports torch. Each protocol is a module of plain functions on arrays of boxes
(x, y, w, h); a row of NaN in the truth means that the target is absent in that frame.
"""
