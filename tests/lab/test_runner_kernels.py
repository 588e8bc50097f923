"""No kernel is left behind, whatever ends a run, and what was finished is kept."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from crmlab.lab import Event, Run, run
from tests.lab.conftest import MakeCourse

PATIENCE = 30  # seconds; nothing here takes so long unless it is broken


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is the case."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def note_processes(path: Path) -> str:
    """A cell that starts a process of its own and writes down both ids."""
    return (
        "import os, pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path(r'{path}.part').write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.replace(r'{path}.part', r'{path}')"
    )


def processes(path: Path) -> list[int]:
    until(path.exists, f"{path} exists")
    return [int(one) for one in path.read_text().split()]


def test_a_kernel_and_what_it_started_end_with_the_chapter(make_course: MakeCourse, tmp_path: Path) -> None:
    endings: dict[str, list[object]] = {
        "success": ["print('done')"],
        "failure": ["1 / 0"],
        "timeout": ["import time; time.sleep(600)", {"timeout": {"cell": 1}}],
        "death": ["os._exit(1)"],
    }
    course = make_course(**{name: [note_processes(tmp_path / name), *cells] for name, cells in endings.items()})
    run(out=tmp_path / "runs", course=course, jobs=2)
    for name in endings:
        for process in processes(tmp_path / name):
            until(lambda process=process: gone(process), f"the process is gone after {name}")  # type: ignore[misc]


@pytest.fixture
def waiting_course(make_course: MakeCourse, tmp_path: Path) -> Path:
    """A finished chapter, and one that waits for a file named "go"."""
    wait = f"import time\nwhile not pathlib.Path(r'{tmp_path / 'go'}').exists(): time.sleep(0.05)"
    count = f"with open(r'{tmp_path / 'count'}', 'a') as file: file.write('x')"
    return make_course(c11=[count, "from crmlab.lab import record; record('n', n)"],
                       c12=[note_processes(tmp_path / "pids"), wait], c13=["1"])  # fmt: skip


def start(course: Path, out: Path) -> subprocess.Popen[str]:
    """``crmlab run`` in a process of its own."""
    command = [sys.executable, "-m", "crmlab", "run", "--course", str(course), "--out", str(out)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def statuses(out: Path) -> list[str]:
    (folder,) = out.iterdir()
    return [one.status for one in Run.read(folder).results]


def resume(course: Path, tmp_path: Path) -> None:
    """Go on with the one interrupted run, and see that the finished chapter was not run again."""
    (tmp_path / "go").touch()
    again = run(out=tmp_path / "runs", course=course, resume=True)
    assert again.ok
    assert (tmp_path / "count").read_text() == "x"
    assert again.records["name"].tolist() == ["n"]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_ctrl_c_stops_kernels_and_keeps_finished_work(waiting_course: Path, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.result.chapter == "12" and event.cell == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run(out=tmp_path / "runs", course=waiting_course, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert all(map(gone, processes(tmp_path / "pids")))
    assert done.interrupted
    assert not done.ok
    assert [one.status for one in done.results] == ["ok", "interrupted", "interrupted"]
    names = {path.name for path in done.folder.iterdir()}
    assert names == {"html", "notebooks", "tables", "index.html", "provenance.json", "records.parquet"}
    assert [path.name for path in (done.folder / "notebooks").iterdir()] == ["11_chapter.ipynb"]
    resume(waiting_course, tmp_path)


def test_the_command_ends_with_130_when_it_is_terminated(waiting_course: Path, tmp_path: Path) -> None:
    with start(waiting_course, tmp_path / "runs") as runner:
        kernels = processes(tmp_path / "pids")
        runner.terminate()
        output, errors = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 130
    assert all(map(gone, kernels))
    assert statuses(tmp_path / "runs") == ["ok", "interrupted", "interrupted"]
    assert "Stopped. Go on with the same command and --resume." in output
    assert errors.splitlines()[0].startswith("11 Chapter 11: ok")
    assert all("Chapter" in line for line in errors.splitlines())


def test_a_killed_runner_leaves_no_kernel_and_can_be_resumed(waiting_course: Path, tmp_path: Path) -> None:
    with start(waiting_course, tmp_path / "runs") as runner:
        kernel, child = processes(tmp_path / "pids")
        runner.kill()
        until(lambda: gone(kernel), "the kernel noticed that its runner is gone")
        os.kill(child, signal.SIGKILL)  # what a chapter started by itself, nobody can know of any more
    assert statuses(tmp_path / "runs") == ["ok", "interrupted", "interrupted"]
    resume(waiting_course, tmp_path)
