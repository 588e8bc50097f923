"""A run under way: chapters in kernels, several at once, every result written as soon as it is there."""

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import nbformat
from papermill.translators import PythonTranslator

from crmlab.lab import pages
from crmlab.lab.catalogue import Chapter
from crmlab.lab.files import atomic_path, write_text
from crmlab.lab.kernel import Session
from crmlab.lab.results import PROVENANCE, RECORDS, ChapterResult, Event, Progress, Run, duplicate, write_provenance


class Execution:
    """One run under way.

    Parameters
    ----------
    folder : pathlib.Path
        The run's folder; chapters that were finished in it before are kept.
    plan : sequence of ChapterResult
        The chapters, those to run with status "interrupted".
    head : mapping
        What the provenance says beside the results.
    progress : callable or None
        Told every event, one at a time.
    """

    def __init__(
        self, folder: Path, plan: Sequence[ChapterResult], head: Mapping[str, Any], progress: Progress | None
    ) -> None:
        self.folder = folder.resolve()
        self.work = self.folder / "work"
        self.head = head
        self.progress = progress
        self.lock = threading.Lock()
        self.results = {one.chapter: one for one in plan}
        if (folder / PROVENANCE).exists():
            self.results |= {one.chapter: one for one in Run.read(folder).results if one.status == "ok"}

    def run(self, selected: Sequence[Chapter], values: Mapping[str, dict[str, Any]], jobs: int) -> Run:
        """Run the chapters that are left, `jobs` at once, and write the pages over all of them."""
        for name in ("notebooks", "html", "tables"):
            (self.folder / name).mkdir(exist_ok=True)
        self._save()
        left = [one for one in selected if self.results[one.id].status == "interrupted"]
        sessions = [self._session(one, values[one.id]) for one in left]
        with ThreadPoolExecutor(jobs) as pool:
            try:
                waiting = {pool.submit(self._run_chapter, one) for one in sessions}
                while waiting:  # in short turns, so that an interrupt is heard on every system
                    waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED).not_done
            except KeyboardInterrupt:
                for one in sessions:
                    one.stop()
        return self._finish()

    def _session(self, chapter: Chapter, values: dict[str, Any]) -> Session:
        folder = self.work / chapter.path.stem
        shutil.rmtree(folder, ignore_errors=True)  # what an attempt before a resume left half done
        folder.mkdir(parents=True)
        return Session(chapter, values, folder, self.folder / "tables", partial(self._tell, "cell", chapter.id))

    def _run_chapter(self, session: Session) -> None:
        """Run one chapter and note how it ended; whatever happens to it, the others go on."""
        if session.stopped:
            return
        id, started = session.chapter.id, time.monotonic()
        result = self.results[id]
        try:
            self._tell("start", id)
            session.execute()
            result = self._publish(session, result)
        except Exception as error:  # such as a full disk
            if not session.stopped:
                result = replace(result, status="failed", message=f"{type(error).__name__}: {error}")
        with self.lock:
            self.results[id] = replace(result, seconds=round(time.monotonic() - started, 2))
            self._save()
        self._tell("end", id)

    def _publish(self, session: Session, planned: ChapterResult) -> ChapterResult:
        """Write the notebook and the page of an executed chapter."""
        notebook = self.folder / "notebooks" / session.chapter.path.name
        page = self.folder / "html" / f"{notebook.stem}.html"
        _forget_path(session.notebook, session.values.get("data", ""))
        write_text(notebook, nbformat.writes(session.notebook) + "\n")
        pages.write_chapter(notebook, page, f"{planned.chapter} {planned.title}")
        message = session.failure
        if not message and (name := duplicate(notebook)):
            message = f"record {name!r} appears twice; every record needs a name of its own"
        return replace(
            planned,
            status="failed" if message else "ok",
            message=message,
            cell=session.failed_cell,
            notebook=notebook.relative_to(self.folder).as_posix(),
            html=page.relative_to(self.folder).as_posix(),
        )

    def _finish(self) -> Run:
        """Write records and index, and tidy up; what chapters wrote in their working directories stays."""
        for path in (*self.work.glob("*"), self.work):
            with suppress(OSError):
                path.rmdir()
        run = Run(self.folder, tuple(self.results.values()))
        with atomic_path(self.folder / RECORDS) as unfinished:
            run.records.to_parquet(unfinished, index=False)
        pages.write_index(run, self.head)
        return run

    def _save(self) -> None:
        write_provenance(self.folder, self.head, tuple(self.results.values()))

    def _tell(self, kind: Literal["start", "cell", "end"], chapter: str, cell: int = 0, cells: int = 0) -> None:
        if self.progress:
            with self.lock:
                self.progress(Event(kind, self.results[chapter], cell, cells))


def _forget_path(notebook: nbformat.NotebookNode, data: str) -> None:
    """Name the reader's own file in an executed notebook without the folders that lead to it."""
    if not Path(data).is_absolute():
        return
    name = Path(data).name
    notebook.metadata.papermill.parameters["data"] = name
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace(
                PythonTranslator.translate_str(data), PythonTranslator.translate_str(name)
            )
