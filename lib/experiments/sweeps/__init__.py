"""Sweeps: one parameter file, a grid, and a run folder for each point of it; on one machine or on a
cluster.

``<runs_root>/<run>_sweep/`` holds ``sweep.json`` (what became of each point), the table, logs and
merged results. Modules: `grid` (what is asked for -> points), `planning` (what to do, in which
order), `running` (doing it), `point` (one point, on a worker), `book` (``sweep.json``), `table`
(which grows), `results` (merged, what mattered), `commands`.
"""
