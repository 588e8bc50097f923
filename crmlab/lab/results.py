"""What a run leaves behind, and how to read it back."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from crmlab.errors import LabError
from crmlab.lab.checks import CHECK_MIME
from crmlab.lab.files import write_text
from crmlab.lab.records import RECORD_MIME, readable

PROVENANCE = "provenance.json"
RECORDS = "records.parquet"

Status = Literal["ok", "failed", "not run", "interrupted"]

_RECORDS = ["run", "chapter", "name", "value", "text", "unit", "published", "parameters_hash"]
_RECORD_TYPES = dict.fromkeys(_RECORDS, "str") | {"value": "float64"}
_CHECK_TYPES = {"chapter": "str", "id": "str", "right": "bool"}


@dataclass(frozen=True)
class ChapterResult:
    """How one chapter of a run ended.

    Attributes
    ----------
    chapter, title : str
        Id and title.
    status : {"ok", "failed", "not run", "interrupted"}
        "not run" means that it could not be: data or an extra are missing, or it does not take own data.
    seconds : float
        Duration.
    message : str
        Why it is not "ok".
    cell : int
        The code cell that failed, as numbered in the executed notebook; 0 if none did.
    notebook, html : str
        Paths in the run's folder; empty if there is none.
    parameters : dict
        The value of every parameter, whoever set it.
    parameters_hash : str
        The same in short: equal hashes mean equal parameters.
    source : str
        SHA-256 of the chapter's notebook.
    """

    chapter: str
    title: str
    status: Status
    seconds: float = 0.0
    message: str = ""
    cell: int = 0
    notebook: str = ""
    html: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parameters_hash: str = ""
    source: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened to a chapter: it started, came to a cell, or ended.

    Attributes
    ----------
    kind : {"start", "cell", "end"}
        What happened.
    result : ChapterResult
        The chapter, and at its end how it ended.
    cell, cells : int
        The code cell that starts now, and how many there are.
    """

    kind: Literal["start", "cell", "end"]
    result: ChapterResult
    cell: int = 0
    cells: int = 0


Progress = Callable[[Event], None]


@dataclass(frozen=True)
class Run:
    """A run of chapters: its folder and what is in it.

    Attributes
    ----------
    folder : pathlib.Path
        Holds notebooks/, html/, tables/, index.html, records.parquet and provenance.json.
    results : tuple of ChapterResult
        In the order of the course.
    """

    folder: Path
    results: tuple[ChapterResult, ...]

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """The run that a folder holds; LabError if it holds none."""
        try:
            stored = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["chapters"]
            return cls(folder, tuple(ChapterResult(**one) for one in stored))
        except (OSError, ValueError, KeyError, TypeError):
            raise LabError(f"{folder} is no folder of a run: its {PROVENANCE} is missing or damaged") from None

    @property
    def ok(self) -> bool:
        """Whether something ran and nothing failed."""
        statuses = {one.status for one in self.results}
        return "ok" in statuses and statuses <= {"ok", "not run"}

    @property
    def interrupted(self) -> bool:
        """Whether chapters are left because the run was stopped."""
        return any(one.status == "interrupted" for one in self.results)

    @cached_property
    def records(self) -> pd.DataFrame:
        """What the finished chapters recorded, one row a record.

        Columns: run, chapter, name, value (float; missing for a text), text, unit, published (id, empty for none) and
        parameters_hash.
        """
        rows = [
            one
            | {
                "run": self.folder.name,
                "chapter": result.chapter,
                "value": math.nan if isinstance(one["value"], str) else float(one["value"]),
                "text": readable(one["value"]),
                "published": one["published"] or "",
                "parameters_hash": result.parameters_hash,
            }
            for result, one in self._recorded(RECORD_MIME)
        ]
        return pd.DataFrame(rows, columns=list(_RECORD_TYPES)).astype(_RECORD_TYPES)

    @cached_property
    def checks(self) -> pd.DataFrame:
        """The exercises that the finished chapters checked: columns chapter, id, right."""
        rows = [one | {"chapter": result.chapter} for result, one in self._recorded(CHECK_MIME)]
        return pd.DataFrame(rows, columns=list(_CHECK_TYPES)).astype(_CHECK_TYPES)

    @property
    def tables(self) -> tuple[Path, ...]:
        """The exported tables."""
        return tuple(sorted((self.folder / "tables").glob("*.csv")))

    def _recorded(self, mime: str) -> Iterator[tuple[ChapterResult, dict[str, Any]]]:
        for result in self.results:
            if result.status == "ok":
                yield from ((result, one) for one in recorded(self.folder / result.notebook, mime))

    def __repr__(self) -> str:
        states = [one.status for one in self.results]
        counts = ", ".join(f"{states.count(one)} {one}" for one in dict.fromkeys(states))
        return f"<Run {self.folder}: {counts or 'no chapters'}>"


def recorded(notebook: Path, mime: str) -> list[dict[str, Any]]:
    """Everything of one mime type that an executed notebook displayed, in its order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [output["data"][mime] for output in outputs if mime in output.get("data", {})]


def duplicate(notebook: Path) -> str:
    """A name that an executed notebook recorded twice, or nothing."""
    names = [one["name"] for one in recorded(notebook, RECORD_MIME)]
    return next((name for name in names if names.count(name) > 1), "")


def write_provenance(folder: Path, head: Mapping[str, Any], results: tuple[ChapterResult, ...]) -> None:
    """Write what is known about a run so far, atomically."""
    content = {**head, "chapters": [vars(one) for one in results]}
    write_text(folder / PROVENANCE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
