"""Run chapters: everything that can be refused is refused before a kernel starts; what has run is never lost."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from crmlab.datasets import describe
from crmlab.datasets.cards import Card, sha256_of
from crmlab.errors import DataUnavailableError, LabError, ParameterError
from crmlab.lab import catalogue, provenance
from crmlab.lab.catalogue import Chapter
from crmlab.lab.files import held
from crmlab.lab.results import PROVENANCE, ChapterResult, Progress, Run


def run(
    chapters: Iterable[str] | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    data: str | os.PathLike[str] = "",
    columns: Mapping[str, str] | None = None,
    jobs: int = 1,
    quick: bool = False,
    resume: bool = False,
    out: str | os.PathLike[str] = "runs",
    progress: Progress | None = None,
    course: Path | None = None,
) -> Run:
    """Run chapters, each in a kernel of its own.

    One failing chapter does not stop the others. An interrupt (Ctrl-C) stops the kernels, keeps what is finished and
    returns; ``resume=True`` goes on later.

    Parameters
    ----------
    chapters : iterable of str, optional
        Ids or file names of chapters; all if none is given.
    parameters : mapping, optional
        Values by parameter name; each goes to every selected chapter that has the parameter.
    data : str or path, optional
        The reader's own transactions: a file or an address. Chapters that do not take own data are not run.
    columns : mapping, optional
        Contract name to the reader's column name, with `data`.
    jobs : int, default 1
        How many chapters run at once.
    quick : bool, default False
        Use the smaller values that the catalogue states for a quick run.
    resume : bool, default False
        Go on with the newest run in `out` of the same chapters, parameters, notebooks and versions that has chapters
        left.
    out : str or path, default "runs"
        Folder for runs.
    progress : callable, optional
        Called with every `Event`, one at a time.
    course : pathlib.Path, optional
        Folder with ``course.yml`` and notebooks; by default the course that comes with crmlab.

    Returns
    -------
    Run
        Its folder holds notebooks/, html/, tables/, index.html, records.parquet and provenance.json.

    Raises
    ------
    ParameterError
        If a chapter or parameter is unknown, or a value is of the wrong type or out of range. Nothing has run then.
    LabError
        If the catalogue and the notebooks do not agree, or the run to go on with is still under way.

    Examples
    --------
    >>> run(["12"], parameters={"segmnts": 5})
    Traceback (most recent call last):
        ...
    crmlab.errors.ParameterError: no selected chapter has a parameter 'segmnts' (did you mean 'segments'?)
    """
    selected = catalogue.select(catalogue.chapters(course), chapters)
    if not selected:
        raise ParameterError("there are no chapters to run")
    if jobs < 1:
        raise ParameterError(f"jobs = {jobs}: at least 1 is needed")
    given = _given(parameters or {}, str(data), columns)
    takers = [one for one in selected if one.own_data] if data else selected
    values = catalogue.resolve(takers, given, quick=quick) if takers else {}
    datasets = {one.id: _datasets(one, values.get(one.id, {})) for one in selected}
    plan = [_plan(one, values.get(one.id), datasets[one.id]) for one in selected]
    environment = provenance.environment()
    folder = (_unfinished(Path(out), plan, environment) if resume else None) or _new_folder(Path(out))
    head = {
        "run": folder.name,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        **environment,
        "data": {card.name: {file.name: file.sha256 for file in card.files} for card in chain(*datasets.values())},
    }
    with held(folder / ".running") as ours:
        if not ours:
            raise LabError(f"the run in {folder} is still under way; wait for it, or run without resume")
        from crmlab.lab.execution import Execution

        return Execution(folder, plan, head, progress).run(selected, values, jobs)


def _given(parameters: Mapping[str, Any], data: str, columns: Mapping[str, str] | None) -> dict[str, Any]:
    """All values in one mapping, the reader's file made absolute."""
    for name in ("data", "columns"):
        if name in parameters:
            raise ParameterError(f"give {name!r} with --{name}; in Python, run(..., {name}=...)")
    if columns and not all(columns.values()):
        raise ParameterError(f"columns = {dict(columns)}: every name needs the name of a column of yours")
    if columns and not data:
        raise ParameterError("columns name the columns of your own file: give it with --data FILE (run(..., data=...))")
    if not data:
        return dict(parameters)
    if not data.startswith(("http://", "https://")):
        if not Path(data).is_file():
            raise ParameterError(f"there is no file {data!r} to take as own data")
        data = str(Path(data).resolve())
    return {**parameters, "data": data, **({"columns": dict(columns)} if columns else {})}


def _datasets(chapter: Chapter, values: Mapping[str, Any]) -> list[Card]:
    """The cards of the data sets that a chapter reads; its main one is not read beside own data."""
    main = values.get("dataset", chapter.defaults.get("dataset", ""))
    if values.get("data"):
        return [describe(name) for name in chapter.datasets if name not in (main, chapter.defaults.get("dataset"))]
    try:
        return [describe(name) for name in sorted({*chapter.datasets, main} - {""})]
    except DataUnavailableError as error:
        raise ParameterError(f"chapter {chapter.id}: {error}") from None


def _plan(chapter: Chapter, values: Mapping[str, Any] | None, datasets: list[Card]) -> ChapterResult:
    """The result before anything ran: "interrupted" if it is to run, else why it cannot. No values: no own data."""
    effective = provenance.portable({**chapter.defaults, **(values or {})})
    obstacle = "does not take own data" if values is None else _obstacle(chapter, datasets)
    return ChapterResult(
        chapter=chapter.id,
        title=chapter.title,
        status="not run" if obstacle else "interrupted",
        message=obstacle,
        parameters=effective,
        parameters_hash=provenance.fingerprint(effective),
        source=sha256_of(chapter.path),
    )


def _obstacle(chapter: Chapter, datasets: list[Card]) -> str:
    """The extras that a chapter or its data sets need and that are missing; a download is tried by the chapter."""
    needs = {one.needs.removeprefix("crmlab[").removesuffix("]") for one in datasets} | {chapter.needs}
    lacking = [f"crmlab[{extra}]" for extra in sorted(needs - {"", "download"}) if provenance.missing(extra)]
    return f"needs {', '.join(lacking)}" if lacking else ""


def _new_folder(out: Path) -> Path:
    """A new folder in `out`, named by the time."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        folder = out / (stamp if number == 1 else f"{stamp}-{number:02}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


def _unfinished(out: Path, plan: Sequence[ChapterResult], environment: Mapping[str, Any]) -> Path | None:
    """The newest run in `out` of the same plan and versions that has chapters left."""
    for folder in newest(out):
        with suppress(LabError):  # a damaged one
            done = Run.read(folder).results
            left = any(one.status in ("interrupted", "failed") for one in done)
            head = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
            same = all(head.get(name) == value for name, value in environment.items())
            if left and same and _identity(done) == _identity(plan):
                return folder
    return None


def _identity(results: Sequence[ChapterResult]) -> list[tuple[str, str, str]]:
    """What two runs must share for one to go on with the other."""
    return [(one.chapter, one.source, one.parameters_hash) for one in results]


def newest(out: Path) -> list[Path]:
    """The folders of runs in `out`, the newest first."""
    return sorted((path.parent for path in out.glob(f"*/{PROVENANCE}")), reverse=True)
