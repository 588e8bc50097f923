"""No kernel is left behind, whatever ends a run, and what was finished is kept."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from crmlab.lab import Run, run
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


@pytest.mark.parametrize(
    ("ending", "entry"),
    [
        ("print('done')", {}),
        ("1 / 0", {}),
        ("import time; time.sleep(600)", {"timeout": {"cell": 1}}),
        ("os._exit(1)", {}),
    ],
    ids=["success", "failure", "time-out", "death"],
)
def test_a_kernel_and_what_it_started_end_with_the_chapter(
    make_course: MakeCourse, tmp_path: Path, ending: str, entry: dict[str, object]
) -> None:
    pids = tmp_path / "pids"
    run(out=tmp_path / "runs", course=make_course(c11=[note_processes(pids), ending, entry]))
    for process in processes(pids):
        until(lambda process=process: gone(process), "the process is gone")  # type: ignore[misc]


@pytest.fixture
def waiting_course(make_course: MakeCourse, tmp_path: Path) -> Path:
    """A finished chapter, and one that waits for a file named "go"."""
    wait = f"import time\nwhile not pathlib.Path(r'{tmp_path / 'go'}').exists(): time.sleep(0.05)"
    count = f"with open(r'{tmp_path / 'count'}', 'a') as file: file.write('x')"
    return make_course(c11=[count, "from crmlab.lab import record; record('n', n)"],
                       c12=[note_processes(tmp_path / "pids"), wait], c13=["1"])  # fmt: skip


def start(course: Path, out: Path) -> subprocess.Popen[str]:
    """``crmlab run`` in a process of its own, which hears signals even if this one was started deaf to them."""
    command = [sys.executable, "-m", "crmlab", "run", "--course", str(course), "--out", str(out)]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def statuses(out: Path) -> list[str]:
    (folder,) = out.iterdir()
    return [one.status for one in Run.read(folder).results]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_an_interrupt_stops_kernels_keeps_finished_work_and_resume_goes_on(
    waiting_course: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    out = tmp_path / "runs"
    with start(waiting_course, out) as runner:
        kernels = processes(tmp_path / "pids")
        runner.send_signal(sign)
        output, errors = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 130
    assert all(map(gone, kernels))
    assert statuses(out) == ["ok", "interrupted", "interrupted"]
    assert "Stopped. Go on with the same command and --resume." in output
    assert "Traceback" not in errors
    (folder,) = out.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "html", "notebooks", "tables", "index.html", "provenance.json", "records.parquet",
    }  # fmt: skip
    assert [path.name for path in (folder / "notebooks").iterdir()] == ["11_chapter.ipynb"]

    (tmp_path / "go").touch()
    again = run(out=out, course=waiting_course, resume=True)
    assert again.folder == folder.resolve()
    assert again.ok
    assert (tmp_path / "count").read_text() == "x"
    assert again.records["name"].tolist() == ["n"]


def test_a_killed_runner_leaves_no_kernel_and_can_be_resumed(waiting_course: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    with start(waiting_course, out) as runner:
        kernel, child = processes(tmp_path / "pids")
        runner.kill()
    until(lambda: gone(kernel), "the kernel noticed that its runner is gone")
    os.kill(child, signal.SIGKILL)  # what a chapter started by itself, nobody can know of any more
    assert statuses(out) == ["ok", "interrupted", "interrupted"]
    (tmp_path / "go").touch()
    again = run(out=out, course=waiting_course, resume=True)
    assert again.ok
    assert (tmp_path / "count").read_text() == "x"
    assert len(list(out.iterdir())) == 1
