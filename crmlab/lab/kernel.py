"""One chapter in one kernel: papermill's parameters and bookkeeping, our Python, limits and clean-up.

The kernel is always the Python that runs crmlab, whatever kernels are installed. It sees an empty working directory and
an empty IPython profile, so that neither the caller's folder nor the user's start-up files can change a result. It runs
in a process group of its own that is killed at the end, however the chapter ends; if the runner itself is killed, the
kernel notices within seconds and exits.
"""

import asyncio
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop, run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from crmlab.lab.catalogue import Chapter

logger = logging.getLogger("crmlab.lab")
logger.addHandler(logging.NullHandler())
logger.propagate = False

_START_TIMEOUT = 120
_LONGEST_SOCKET_FOLDER = 80  # a socket's path may have about 100 characters


class Stopped(Exception):
    """The chapter was stopped from outside."""


@dataclass(eq=False)
class Session:
    """The execution of one chapter, which another thread may stop.

    Parameters
    ----------
    chapter : Chapter
        What to execute.
    values : dict
        Parameters to inject.
    folder, tables : pathlib.Path
        Working directory of the kernel, and the folder for exported tables.
    on_cell : callable
        Called before each code cell with its number and the number of code cells.
    """

    chapter: Chapter
    values: dict[str, Any]
    folder: Path
    tables: Path
    on_cell: Callable[[int, int], None]
    notebook: NotebookNode = field(default_factory=NotebookNode)
    failure: str = ""
    failed_cell: int = 0
    _group: int | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def execute(self) -> None:
        """Execute the chapter into `notebook`; if a cell failed, `failure` and `failed_cell` say why and which.

        Raises
        ------
        Stopped
            If `stop` was called meanwhile.
        """
        with suppress(PapermillExecutionError):  # its cell is noted here and marked in the notebook
            papermill.execute_notebook(
                str(self.chapter.path),
                None,
                parameters=self.values,
                engine_name="crmlab",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                session=self,
            )
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """End the execution now."""
        self._stop.set()
        self.kill()

    def started(self, process: int) -> None:
        """Take note of the kernel's process, which leads its own group."""
        self._group = process
        if self.stopped:
            self.kill()

    def kill(self) -> None:
        """Kill the kernel and all that it started."""
        group, self._group = self._group, None
        if group is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # it is gone already
            if sys.platform == "win32":
                os.kill(group, signal.SIGTERM)
            else:
                os.killpg(group, signal.SIGKILL)


class _Client(PapermillNotebookClient):
    """papermill's client with limits of time, with an end for every kernel, and with the failing cell always marked."""

    def __init__(self, manager: Any, session: Session, scratch: str) -> None:
        this_python = KernelSpecManager(kernel_dirs=[])  # whatever kernels are installed
        file = os.path.join(scratch, "kernel.json")
        kernel = AsyncKernelManager(kernel_spec_manager=this_python, connection_file=file)
        if sys.platform != "win32" and len(scratch) < _LONGEST_SOCKET_FOLDER:
            kernel.transport = "ipc"  # no open port, and none that two runs could race for
        super().__init__(manager, km=kernel, log=logger, startup_timeout=_START_TIMEOUT, shutdown_kernel="immediate")
        self.extra_arguments = ["--IPKernelApp.log_level=40"]
        self.session = session
        self.timeout_func = self._time_left
        self.number = 0
        self.cells = sum(map(_is_run, self.nb.cells))
        self.environment = os.environ | {
            "CRMLAB_CHAPTER": session.chapter.id,
            "CRMLAB_TABLES": str(session.tables),
            "IPYTHONDIR": scratch,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),  # sets have the same order in every run
        }

    def run(self) -> None:
        """Start the kernel, run the cells until one fails, end the kernel."""
        self.reset_execution_trackers()
        try:
            with self.setup_kernel(cleanup_kc=True, cwd=str(self.session.folder), env=self.environment):
                self.deadline = time.monotonic() + self.session.chapter.chapter_timeout
                self.papermill_execute_cells()
        finally:
            self.session.kill()
            _cancel_tasks()
            ensure_event_loop().close()

    def start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel and tell the session which process it is."""
        super().start_new_kernel(**kwargs)
        self.session.started(self.km.provisioner.process.pid)

    def execute_cell(self, cell: NotebookNode, cell_index: int, **_: Any) -> NotebookNode:
        """Run one cell; whatever stops it is noted and left in the cell as an error, and ends the notebook."""
        if not _is_run(cell):
            return cell
        self.number += 1
        self.session.on_cell(self.number, self.cells)
        try:
            return super().execute_cell(cell, cell_index)
        except Exception as error:
            name, text = self._explain(error)
        cell.execution_count = self.number
        if not any(one.output_type == "error" for one in cell.outputs):
            cell.outputs.append(new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"]))
        self.session.failure = f"{name}: {' '.join(text.strip().splitlines())}"
        self.session.failed_cell = self.number
        raise CellExecutionError("", name, text)

    def _explain(self, error: Exception) -> tuple[str, str]:
        """The name and text of what stopped a cell."""
        if isinstance(error, CellExecutionError):
            return error.ename, str(error.evalue)
        if isinstance(error, DeadKernelError):
            return "DeadKernel", "the kernel died (out of memory, or the process was killed)"
        if not isinstance(error, CellTimeoutError):
            return type(error).__name__, str(error)
        chapter = self.session.chapter
        if time.monotonic() >= self.deadline:
            return "Timeout", f"the chapter took longer than its limit of {chapter.chapter_timeout:g} s"
        return "Timeout", f"the cell took longer than its limit of {chapter.cell_timeout:g} s"

    def _time_left(self, _: NotebookNode) -> float:
        return max(0.1, min(self.session.chapter.cell_timeout, self.deadline - time.monotonic()))


class _Engine(NBClientEngine):
    """The engine by which papermill runs a chapter."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, session: Session, **_: Any) -> None:
        session.notebook = nb_man.nb
        nb_man.nb.metadata.setdefault("language_info", {"name": "python"})
        name = session.chapter.path.name  # papermill notes absolute paths
        nb_man.nb.metadata.papermill.update(input_path=name, output_path=name)
        with tempfile.TemporaryDirectory(prefix="crmlab-", ignore_cleanup_errors=True) as scratch:
            _Client(nb_man, session, scratch).run()


papermill_engines.register("crmlab", _Engine)


def _is_run(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


@run_sync
async def _cancel_tasks() -> None:
    """Cancel what still waits for a kernel that is no more; asyncio would complain about it later."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
