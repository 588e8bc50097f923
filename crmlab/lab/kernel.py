"""One chapter in one kernel: papermill's parameters and bookkeeping, our Python, limits and clean-up.

The kernel is always the Python that runs crmlab, whatever kernels are installed. It sees an empty working directory and
an empty IPython profile, so that neither the caller's folder nor the user's start-up files can change a result. It runs
in a process group of its own that is killed at the end, however the chapter ends; if the runner itself is killed, the
kernel notices within seconds and exits.
"""

import asyncio
import logging
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop, run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

logger = logging.getLogger("crmlab.lab")
logger.addHandler(logging.NullHandler())
logger.propagate = False

_START_TIMEOUT = 120
_LONGEST_SOCKET_FOLDER = 80  # a socket's path may have about 100 characters


@dataclass(frozen=True)
class Job:
    """What to execute, and where.

    Attributes
    ----------
    chapter : str
        Id of the chapter.
    notebook, output : pathlib.Path
        The source, and where the executed notebook goes.
    values : dict
        Parameters to inject.
    folder, tables : pathlib.Path
        Working directory of the kernel, and the folder for exported tables.
    cell_timeout, chapter_timeout : float
        Seconds.
    """

    chapter: str
    notebook: Path
    output: Path
    values: dict[str, Any]
    folder: Path
    tables: Path
    cell_timeout: float
    chapter_timeout: float


@dataclass(frozen=True)
class Failure:
    """Why a chapter did not reach its end, and at which code cell (0: before the first)."""

    message: str
    cell: int


class Stopped(Exception):
    """The chapter was stopped from outside."""


class Session:
    """The execution of one job, which another thread may stop.

    Parameters
    ----------
    job : Job
        What to execute.
    on_cell : callable
        Called before each code cell with its number and the number of code cells.
    """

    def __init__(self, job: Job, on_cell: Callable[[int, int], None]) -> None:
        self.job = job
        self.on_cell = on_cell
        self.cell = 0
        self._group: int | None = None
        self._stop = threading.Event()

    def execute(self) -> Failure | None:
        """Execute the job and write the executed notebook; None if it reached its end.

        Raises
        ------
        Stopped
            If `stop` was called meanwhile.
        """
        job = self.job
        try:
            papermill.execute_notebook(
                str(job.notebook),
                str(job.output),
                parameters=job.values,
                engine_name=_engine(),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                session=self,
            )
        except PapermillExecutionError as error:
            if not self._stop.is_set():
                lines = str(error.evalue).strip().splitlines()
                return Failure(f"{error.ename}: {' '.join(lines)}", self.cell)
        except Exception as error:  # whatever a kernel dies of must not stop the other chapters
            if not self._stop.is_set():
                return Failure(f"{type(error).__name__}: {error}", self.cell)
        if self._stop.is_set():
            raise Stopped
        return None

    def stop(self) -> None:
        """End the execution now."""
        self._stop.set()
        self.kill()

    def kill(self) -> None:
        """Kill the kernel and all that it started."""
        if self._group is None:
            return
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._group, signal.SIGKILL)
            else:
                os.kill(self._group, signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            pass  # it is gone already

    def started(self, process: int) -> None:
        """Take note of the kernel's process, which leads its own group."""
        self._group = process
        if self._stop.is_set():
            self.kill()

    def start_cell(self, number: int, of: int) -> None:
        """Take note of where the execution is."""
        self.cell = number
        if self._stop.is_set():
            raise Stopped
        self.on_cell(number, of)


class _Kernel(AsyncKernelManager):
    """A kernel of this very Python, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--IPKernelApp.log_level=40"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class _Client(PapermillNotebookClient):
    """papermill's client with limits of time, with an end for every kernel, and with the failing cell always marked."""

    def __init__(self, manager: Any, session: Session, scratch: str) -> None:
        job = session.job
        self.session = session
        self.deadline = math.inf  # the chapter's time runs from its first cell
        kernel = _Kernel(kernel_name="python3", connection_file=os.path.join(scratch, "kernel.json"))
        if sys.platform != "win32" and len(scratch) < _LONGEST_SOCKET_FOLDER:
            kernel.transport = "ipc"  # no open port, and none that two runs could race for
        super().__init__(manager, km=kernel, log=logger, startup_timeout=_START_TIMEOUT)
        self.shutdown_kernel = "immediate"
        self.timeout_func = lambda cell: max(0.1, min(job.cell_timeout, self.deadline - time.monotonic()))
        self.environment = os.environ | {
            "CRMLAB_CHAPTER": job.chapter,
            "CRMLAB_TABLES": str(job.tables),
            "IPYTHONDIR": scratch,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),  # sets have the same order in every run
        }

    def run(self) -> None:
        """Start the kernel, run the cells until one fails, end the kernel."""
        self.reset_execution_trackers()
        try:
            with self.setup_kernel(cleanup_kc=True, cwd=str(self.session.job.folder), env=self.environment):
                self._run_cells()
        finally:
            self.session.kill()
            _cancel_tasks()
            ensure_event_loop().close()

    def start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel and tell the session which process it is."""
        super().start_new_kernel(**kwargs)
        self.session.started(self.km.provisioner.process.pid)

    def _run_cells(self) -> None:
        self.deadline = time.monotonic() + self.session.job.chapter_timeout
        code = [index for index, cell in enumerate(self.nb.cells) if cell.cell_type == "code" and cell.source.strip()]
        for number, index in enumerate(code, start=1):
            cell = self.nb.cells[index]
            self.session.start_cell(number, len(code))
            self.nb_man.cell_start(cell, index)
            error = self._run_cell(cell, index)
            if error:
                self._mark(cell, number, error)
                self.nb_man.cell_exception(cell, cell_index=index)
            self.nb_man.cell_complete(cell, cell_index=index)
            if error:
                return

    def _run_cell(self, cell: Any, index: int) -> tuple[str, str] | None:
        """Run one cell; the name and text of what stopped it, if anything did."""
        try:
            self.execute_cell(cell, index)
        except CellTimeoutError:
            job = self.session.job
            if time.monotonic() >= self.deadline:
                return "Timeout", f"the chapter took longer than its limit of {job.chapter_timeout:g} s"
            return "Timeout", f"the cell took longer than its limit of {job.cell_timeout:g} s"
        except DeadKernelError:
            return "DeadKernel", "the kernel died (out of memory, or the process was killed)"
        except Exception as error:
            return type(error).__name__, str(error)
        return None

    def _mark(self, cell: Any, number: int, error: tuple[str, str]) -> None:
        """Leave the error in the cell, if the kernel itself did not."""
        cell.execution_count = cell.execution_count or number
        if not any(one.output_type == "error" for one in cell.outputs):
            name, text = error
            cell.outputs.append(new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"]))


class _Engine(NBClientEngine):
    """The engine by which papermill runs a chapter."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, session: Session, **_: Any) -> None:
        nb_man.nb.metadata.setdefault("language_info", {"name": "python"})
        with tempfile.TemporaryDirectory(prefix="crmlab-", ignore_cleanup_errors=True) as scratch:
            _Client(nb_man, session, scratch).run()


@run_sync
async def _cancel_tasks() -> None:
    """Cancel what still waits for a kernel that is no more; asyncio would complain about it later."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@cache
def _engine() -> str:
    """Name of the engine, registered with papermill at the first call."""
    papermill_engines.register("crmlab", _Engine)
    return "crmlab"
