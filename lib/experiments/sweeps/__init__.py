"""Sweeps: one parameter file, a grid, and a run folder per point; on one machine or a cluster.

A *point* is one combination of the grid's values. ``<runs_root>/<run>_sweep/`` holds ``sweep.json``
(the state of each point), the table, logs and merged results. Modules: `grid` (command line ->
points), `plan` (which runs, in which order), `run` (hands them to workers), `worker` (runs one
point), `record` (writes ``sweep.json``), `facts` (reads it), `table` (grows while the sweep runs),
`results` (merged scores, which parameter mattered), `commands`.
"""
