"""Figures that anyone can measure again: ``python -m benchmarks NAME [--quick]``.

Each benchmark writes ``benchmarks/results/NAME.json`` (machine, versions, date, seeds, raw rows)
and ``NAME.md``, made from it.
"""
