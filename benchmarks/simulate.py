"""Time and memory of `crmlab simulate` by size: python benchmarks/simulate.py [--jobs 2] [--sizes 1000 10000 ...]

Every size is run in a process of its own; memory is the largest sum over the process and its workers, sampled twenty
times a second. Seconds depend on the machine; what should hold anywhere is the growth from one size to the next.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SCENARIO, SEED = "grocer", 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--jobs", type=int, default=2)
    told = parser.parse_args()
    print("| customers | order lines | rows of all tables | MB on disk | seconds | times | peak memory, MB |")
    print("|---|---|---|---|---|---|---|")
    before = None
    for customers in told.sizes:
        lines, rows, size, seconds, memory = measure(customers, told.jobs)
        times = f"{seconds / before:.1f}" if before else ""
        row = [f"{customers:,}", f"{lines:,}", f"{rows:,}", f"{size:,.0f}", f"{seconds:,.1f}", times, f"{memory:,.0f}"]
        print(f"| {' | '.join(row)} |", flush=True)
        before = seconds


def measure(customers: int, jobs: int) -> tuple[int, int, float, float, float]:
    """Simulate once; lines, rows, megabytes written, seconds and peak megabytes of memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "firm"
        told = f"--customers {customers} --seed {SEED} --scenario {SCENARIO} --jobs {jobs} --out {out}"
        begin = time.perf_counter()
        command = [sys.executable, "-m", "crmlab", "simulate", *told.split()]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peak = 0
        while running.poll() is None:
            peak = max(peak, memory_of(psutil.Process(running.pid)))
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        if running.returncode:
            sys.exit(f"crmlab simulate {told} ended with {running.returncode}")
        tables = json.loads((out / "company.json").read_text(encoding="utf-8"))["tables"]
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
        rows = sum(table["rows"] for table in tables.values())
        return tables["transactions"]["rows"], rows, size, seconds, peak / 1e6


def memory_of(process: psutil.Process) -> int:
    """Resident bytes of a process and its children; one that has just ended counts nothing."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    return total


if __name__ == "__main__":
    main()
