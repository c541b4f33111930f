"""Sweeps: one parameter file, a grid, and a run folder per point; on one machine or a cluster.

``<runs_root>/<run>_sweep/`` holds ``sweep.json`` (what became of each point), the table, logs and
merged results. Modules: `grid` (what is asked for -> points), `plan` (what to do, in which
order), `run` (doing it), `worker` (one point, on a worker), `record` (keeps ``sweep.json``),
`facts` (what it says), `table` (which grows), `results` (merged, what mattered), `commands`.
"""
