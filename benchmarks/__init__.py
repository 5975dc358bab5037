"""Figures that anyone can measure again: ``python -m benchmarks NAME [--quick]``.

Each benchmark is one module of its name with two functions::

    def run(quick: bool) -> Results      # measures, through benchmarks.results.measure
    def report(results: Results) -> Report   # Markdown, CSV tables and figures, from the rows alone

and leaves ``benchmarks/results/NAME.json`` (machine, versions, date, settings, raw rows) with
``NAME.md``, ``NAME.csv`` and ``NAME.png`` made from it. It shows its progress, and an interrupted
run resumes. ``--quick`` is a small form of a few minutes that shows that it runs;
``--report`` makes the report again from results that are there.
"""
