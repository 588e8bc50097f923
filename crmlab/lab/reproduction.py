"""Published numbers, and which of them a run reproduces.

A published number belongs to a chapter run with certain parameters: the chapter's defaults, except where its row says
otherwise. A record made with others is not compared, because it answers another question.
"""

import json
import math
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from crmlab.errors import LabError
from crmlab.lab.catalogue import chapters
from crmlab.lab.results import ChapterResult, Run
from crmlab.lab.runner import newest
from crmlab.resources import course_dir

_COLUMNS = ["id", "value", "tolerance", "chapter", "record", "dataset", "parameters", "source", "status", "note"]
_NOT_COMPARED = ("no data", "unverified", "own")
_STATUSES = ("printed", "differs, explained", *_NOT_COMPARED)


@dataclass(frozen=True)
class Reproduction:
    """Published numbers beside what a run recorded.

    Attributes
    ----------
    run : Run
        The run.
    table : DataFrame
        One row a published number: id, chapter, record, published, tolerance, value, outcome, note. The outcome is
        "reproduced", "differs", "differs, explained", "not recorded" (the chapter ran as it should, but without it),
        "not comparable" (other parameters), "not run", "no data", "unverified", "own" (a computation of ours) or
        "unknown" (a record claims an id that is not published under this chapter and name).
    """

    run: Run
    table: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How often each outcome occurs."""
        return {str(outcome): int(number) for outcome, number in self.table["outcome"].value_counts().items()}

    @property
    def ok(self) -> bool:
        """Whether nothing differs unexplained, nothing is missing and nothing claims a number that is none."""
        return not {"differs", "not recorded", "unknown"} & set(self.counts)

    def __repr__(self) -> str:
        return "; ".join(f"{number} {outcome}" for outcome, number in self.counts.items()) or "no published numbers"


def published(path: Path | None = None) -> pd.DataFrame:
    """The published numbers that the course reproduces.

    Parameters
    ----------
    path : pathlib.Path, optional
        A CSV file of the same columns; by default the one that comes with crmlab.

    Returns
    -------
    DataFrame
        Indexed by id, with value, tolerance (both floats, in the unit of the value), chapter, record, dataset,
        parameters (a dict: what differs from the chapter's defaults), source, status and note.

    Raises
    ------
    LabError
        If the file is malformed. The message lists every problem.

    Examples
    --------
    >>> published().loc["CDN-107l", "value"]
    np.float64(23570.0)
    """
    path = path or course_dir("datasets") / "published" / "published.csv"
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(raw.columns) != _COLUMNS:
        raise LabError(f"{path}: the columns must be {', '.join(_COLUMNS)}, not {', '.join(raw.columns)}")
    rows, problems = [], [f"{one}: the id is used twice" for one in sorted(set(raw.loc[raw["id"].duplicated(), "id"]))]
    for row in raw.to_dict("records"):
        try:
            rows.append(_read_row(row))
        except ValueError as problem:
            problems.append(f"{row['id']}: {problem}")
    if problems:
        raise LabError(f"{path}:\n  " + "\n  ".join(problems))
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("id")


def reproduce(
    run: Run | str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] = "runs",
    course: Path | None = None,
    numbers: pd.DataFrame | None = None,
) -> Reproduction:
    """Compare what a run recorded with the published numbers.

    Parameters
    ----------
    run : Run or path, optional
        The run or its folder; by default the newest in `out`.
    out : str or path, default "runs"
        Folder for runs.
    course : pathlib.Path, optional
        The course that was run; by default the one that comes with crmlab.
    numbers : DataFrame, optional
        Published numbers as `published` gives them; by default those that come with crmlab.

    Returns
    -------
    Reproduction

    Raises
    ------
    LabError
        If there is no run.
    """
    if run is None:
        folders = newest(Path(out))
        if not folders:
            raise LabError(f"there is no run in {str(out)!r} yet; run the chapters first: crmlab run")
        run = folders[0]
    run = run if isinstance(run, Run) else Run.read(Path(run))
    defaults = {one.id: one.defaults for one in chapters(course)}
    results = {one.chapter: one for one in run.results}
    claims = run.records[run.records["published"] != ""]
    keys = zip(claims["published"], claims["chapter"], claims["name"], strict=True)
    recorded = dict(zip(keys, claims["value"], strict=True))
    rows: list[list[Any]] = []
    for id, row in (published() if numbers is None else numbers).iterrows():
        value = recorded.pop((id, row["chapter"], row["record"]), None)
        outcome, note = _compare(row, results.get(row["chapter"]), defaults.get(row["chapter"], {}), value)
        rows.append([id, row["chapter"], row["record"], row["value"], row["tolerance"], value, outcome, note])
    for claim, value in recorded.items():
        rows.append([*claim, math.nan, math.nan, value, "unknown", "not so in the published numbers"])
    columns = ["id", "chapter", "record", "published", "tolerance", "value", "outcome", "note"]
    return Reproduction(run, pd.DataFrame(rows, columns=columns).astype({"value": "float64"}))


def _compare(
    row: "pd.Series[Any]", result: ChapterResult | None, defaults: Mapping[str, Any], value: float | None
) -> tuple[str, str]:
    """The outcome for one published number, and what there is to say about it."""
    if row["status"] in _NOT_COMPARED:
        return row["status"], row["note"]
    if result is None or result.status != "ok":
        return "not run", "" if result is None else result.message or result.status
    wanted = {**defaults, **row["parameters"]}
    names = sorted((wanted.keys() | result.parameters.keys()) - {"engine"})  # says how to compute, not what
    other = [name for name in names if result.parameters.get(name) != wanted.get(name)]
    if other:
        return "not comparable", "other " + ", ".join(other)
    if value is None:
        return "not recorded", f"chapter {row['chapter']} ran without it"
    # beside the tolerance, room for the rounding of binary fractions
    if abs(value - row["value"]) <= row["tolerance"] + 1e-9 * abs(row["value"]):
        return "reproduced", ""
    return "differs" if row["status"] == "printed" else row["status"], row["note"]


def _read_row(row: Mapping[Hashable, str]) -> dict[Hashable, Any]:
    value, tolerance = float(row["value"]), row["tolerance"]
    absolute = abs(value) * float(tolerance[:-1]) / 100 if tolerance.endswith("%") else float(tolerance)
    parameters = json.loads(row["parameters"])
    if not isinstance(parameters, dict):
        raise ValueError(f"parameters must be a JSON object, not {row['parameters']}")
    if row["status"] not in _STATUSES:
        raise ValueError(f"status {row['status']!r} is not one of {', '.join(_STATUSES)}")
    return {**row, "value": value, "tolerance": absolute, "parameters": parameters}
