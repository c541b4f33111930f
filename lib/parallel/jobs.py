"""The jobs of SLURM or PBS behind a cluster's workers: started while there is work, replaced when
they end, never more than the limit.
"""

from __future__ import annotations

import re
import subprocess

from ..errors import InputError
from ..parameters import Params

QUEUED = {"slurm": ["squeue", "--noheader", "--format=%i", "--jobs"], "pbs": ["qstat"]}
PATIENCE = 30.0  # s for a scheduler to answer
SETTLE = 120.0  # s for it to accept jobs
# jobs in a row that end before their worker has started: then something is wrong
MOST_EARLY_ENDS = 3


class Jobs:
    """The jobs behind a cluster's workers: as many as `keep` asks for, new ones for those that
    ended.
    """

    def __init__(self, cluster, spec: Params, most: int):
        self.cluster, self.spec, self.most, self.early_ends = cluster, spec, most, 0

    def keep(self, count: int, standing: set[str]) -> None:
        """Start jobs until `count` workers (at most `most`) run or are queued. standing : names of
        the workers that run.

        Raises InputError when the scheduler refuses the jobs, or when jobs end before their workers
        have started.
        """
        if standing:
            self.early_ends = 0
        self._forget_ended(standing)
        # Not `cluster.scale`: it reports a refused job to a log and nowhere else.
        while len(self.cluster.worker_spec) < min(self.most, count):
            self.cluster.worker_spec.update(self.cluster.new_worker_spec())
        try:
            self.cluster.sync(self._settle, callback_timeout=SETTLE)
        except (RuntimeError, OSError, TimeoutError, ValueError) as error:
            self._forget({name for name, job in self.cluster.workers.items() if job.job_id is None})
            lines = [line for line in str(error).splitlines() if line.strip()] or [
                type(error).__name__
            ]
            raise InputError(
                f"the scheduler does not take the job: {' '.join(lines[-3:])}",
                where=self.spec.kind,
                todo="look at queue, account and directives; --print-jobs shows the script",
            ) from error

    def release(self, names: list[str]) -> None:
        """End the jobs of these workers."""
        if names:
            self.cluster.sync(self.cluster.scale_down, names)

    async def _settle(self) -> None:
        await self.cluster

    def _forget_ended(self, standing: set[str]) -> None:
        """Forget jobs that ended before their worker started: Dask knows nothing of them, so the
        scheduler is asked.
        """
        waiting = {
            job.job_id: name
            for name, job in self.cluster.workers.items()
            if job.job_id and str(name) not in standing
        }
        ended = set(waiting) - _queued(self.spec.kind, list(waiting))
        if not ended:
            return
        self._forget({waiting[job] for job in ended})
        self.early_ends += 0 if standing else 1
        if self.early_ends >= MOST_EARLY_ENDS:
            raise InputError(
                f"{self.early_ends} jobs ended before their worker stood, the last one: "
                f"{max(ended)}",
                where=self.spec.logs,
                expected="an environment in which `python -m lib` works",
                todo="read the newest file there; then correct `setup` or `python` in the "
                "cluster's file",
            )

    def _forget(self, names: set) -> None:
        import distributed

        for name in names:
            self.cluster.workers.pop(name).status = distributed.core.Status.closed


def _queued(kind: str, jobs: list[str]) -> set[str]:
    """Those of `jobs` that wait or run; all of them if the scheduler does not answer."""
    queued = set()
    if not jobs:
        return queued
    asked = [[*QUEUED["pbs"], job] for job in jobs]
    if kind == "slurm":
        asked = [[*QUEUED["slurm"], ",".join(jobs)]]
    for command in asked:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            return set(jobs)
        output = done.stdout + done.stderr
        if done.returncode and not re.search(r"(?i)invalid job id|unknown job|finished", output):
            return set(jobs)
        queued |= {job for job in jobs if re.search(rf"^{job}\b", done.stdout, re.MULTILINE)}
    return queued
