"""A run under way: chapters in kernels, several at once, every result written as soon as it is there."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from crmlab.lab import pages
from crmlab.lab.catalogue import Chapter
from crmlab.lab.files import atomic_path, write_text
from crmlab.lab.kernel import Failure, Job, Session, Stopped
from crmlab.lab.results import PROVENANCE, RECORDS, ChapterResult, Event, Progress, Run, duplicate, write_provenance

_WORK = "work"


class Execution:
    """One run under way.

    Parameters
    ----------
    folder : pathlib.Path
        The run's folder; chapters that were finished in it before are kept.
    plan : tuple of ChapterResult
        The chapters, those to run with status "interrupted".
    head : mapping
        What the provenance says beside the results.
    progress : callable or None
        Told every event, one at a time.
    """

    def __init__(
        self, folder: Path, plan: tuple[ChapterResult, ...], head: Mapping[str, Any], progress: Progress | None
    ) -> None:
        self.folder = folder.resolve()
        self.head = head
        self.progress = progress
        self.results = {one.chapter: one for one in plan}
        self.sessions: set[Session] = set()
        self.stopping = False
        self.lock = threading.Lock()
        if (folder / PROVENANCE).exists():
            self.results |= {one.chapter: one for one in Run.read(folder).results if one.status == "ok"}

    def run(self, selected: Sequence[Chapter], values: Mapping[str, dict[str, Any]], jobs: int) -> Run:
        """Run the chapters that are left, `jobs` at once, and write the pages over all of them."""
        for name in ("notebooks", "html", "tables", _WORK):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._save()
        left = [one for one in selected if self.results[one.id].status == "interrupted"]
        with ThreadPoolExecutor(jobs) as pool:
            try:
                waiting = {pool.submit(self._run_chapter, one, values[one.id]) for one in left}
                while waiting:  # in short turns, so that an interrupt is heard on every system
                    waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED).not_done
            except KeyboardInterrupt:
                self._stop()
        return self._finish()

    def _run_chapter(self, chapter: Chapter, values: dict[str, Any]) -> None:
        """Run one chapter and note how it ended; whatever happens to it, the others go on."""
        started = time.monotonic()
        session = Session(self._job(chapter, values), partial(self._tell, "cell", chapter.id))
        with self.lock:
            if self.stopping:
                return
            self.sessions.add(session)
        self._tell("start", chapter.id)
        try:
            result = self._publish(session, self.results[chapter.id])
        except Stopped:
            result = self.results[chapter.id]
        except Exception as error:  # such as a full disk
            result = replace(self.results[chapter.id], status="failed", message=f"{type(error).__name__}: {error}")
        with self.lock:
            self.sessions.discard(session)
            self.results[chapter.id] = replace(result, seconds=round(time.monotonic() - started, 2))
            self._save()
        self._tell("end", chapter.id)

    def _publish(self, session: Session, planned: ChapterResult) -> ChapterResult:
        """Execute a session and put its notebook and page where they belong."""
        failure = session.execute()
        output = session.job.output
        notebook = self.folder / "notebooks" / output.name
        page = self.folder / "html" / f"{output.stem}.html"
        _move_notebook(output, notebook)
        if failure is None and (name := duplicate(notebook)):
            failure = Failure(f"record {name!r} appears twice; every record needs a name of its own", 0)
        pages.write_chapter(notebook, page, f"{planned.chapter} {planned.title}")
        return replace(
            planned,
            status="failed" if failure else "ok",
            message=failure.message if failure else "",
            cell=failure.cell if failure else 0,
            notebook=notebook.relative_to(self.folder).as_posix(),
            html=page.relative_to(self.folder).as_posix(),
        )

    def _job(self, chapter: Chapter, values: dict[str, Any]) -> Job:
        folder = self.folder / _WORK / chapter.path.stem
        folder.mkdir(exist_ok=True)
        return Job(
            chapter=chapter.id,
            notebook=chapter.path,
            output=self.folder / _WORK / chapter.path.name,
            values=values,
            folder=folder,
            tables=self.folder / "tables",
            cell_timeout=chapter.cell_timeout,
            chapter_timeout=chapter.chapter_timeout,
        )

    def _stop(self) -> None:
        with self.lock:
            self.stopping = True
            for session in self.sessions:
                session.stop()

    def _finish(self) -> Run:
        """Write records and index, and tidy up; what chapters wrote in their working directories stays."""
        work = self.folder / _WORK
        for path in work.iterdir():
            if path.is_file():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()
        if not any(work.iterdir()):
            work.rmdir()
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


def _move_notebook(source: Path, target: Path) -> None:
    """Move an executed notebook into place, without the absolute paths that papermill notes in it."""
    content = json.loads(source.read_text(encoding="utf-8"))
    for name in ("input_path", "output_path"):
        content["metadata"]["papermill"][name] = target.name
    write_text(target, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    source.unlink()
