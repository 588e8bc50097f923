"""The catalogue of chapters: what ``course.yml`` says, checked against the notebooks."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from crmlab.contracts import suggest
from crmlab.errors import LabError, ParameterError
from crmlab.lab.parameters import Parameter, read_parameters, restrict
from crmlab.resources import course_dir

CATALOGUE = "course.yml"

_REQUIRED = {"id": str, "file": str, "title": str, "part": int, "minutes": int}
_OPTIONAL: dict[str, type] = {
    **{"needs": str, "own_data": bool},
    **dict.fromkeys(["datasets", "requires", "introduces"], list),
    **dict.fromkeys(["parameters", "quick", "timeout"], dict),
}
_TYPES = _REQUIRED | _OPTIONAL
_TIMEOUT = {"cell": 60, "chapter": 300}
_ITEM = r"^(?:[-*]|\d+[.)])\s+"


@dataclass(frozen=True)
class Chapter:
    """One chapter of the course.

    Attributes
    ----------
    id, title : str
        Such as ``"12"`` and its title.
    part, part_title
        Number and name of the part it belongs to.
    path : pathlib.Path
        The notebook.
    minutes : int
        Time a reader needs.
    parameters : tuple of Parameter
        In the order of the parameters cell.
    datasets : tuple of str
        The data sets it reads.
    needs : str
        The extra of crmlab that it cannot do without; empty if none.
    own_data : bool
        Whether it runs on the reader's own table.
    quick : dict
        Values for a quick run.
    cell_timeout, chapter_timeout : float
        Seconds.
    requires : tuple of str
        Ids of the chapters it builds on.
    introduces : tuple of (str, str)
        Terms in English and Chinese.
    objectives : tuple of str
        What a reader can do afterwards: the first list in the notebook's first text cell.
    """

    id: str
    title: str
    part: int
    part_title: str
    path: Path
    minutes: int
    parameters: tuple[Parameter, ...]
    datasets: tuple[str, ...]
    needs: str
    own_data: bool
    quick: Mapping[str, Any]
    cell_timeout: float
    chapter_timeout: float
    requires: tuple[str, ...]
    introduces: tuple[tuple[str, str], ...]
    objectives: tuple[str, ...]

    @property
    def defaults(self) -> dict[str, Any]:
        """The value of every parameter when nothing else is said."""
        return {one.name: one.default for one in self.parameters}


def chapters(course: Path | None = None) -> tuple[Chapter, ...]:
    """The chapters of the course, in its order.

    Parameters
    ----------
    course : pathlib.Path, optional
        Folder with ``course.yml`` and the notebooks; by default the course that comes with crmlab.

    Returns
    -------
    tuple of Chapter

    Raises
    ------
    LabError
        If the catalogue and the notebooks do not agree. The message lists every problem.

    Examples
    --------
    >>> chapters()[0].id
    '00'
    """
    folder = course or course_dir("notebooks")
    content = _read_catalogue(folder)
    entries = content.get("chapters") or []
    defaults = {name: kind() for name, kind in _OPTIONAL.items()}
    found, problems = [], []
    for entry in entries:
        try:
            found.append(_read_chapter(folder, defaults | entry, content.get("parts") or {}))
        except _Problems as several:
            problems += [f"chapter {entry.get('id', '?')}: {one}" for one in several.args]
    ids = [one.get("id") for one in entries]
    problems += [f"chapter {one}: the id is used twice" for one in dict.fromkeys(ids) if ids.count(one) > 1]
    for chapter in found:
        problems += [f"chapter {chapter.id}: requires an unknown {one}" for one in chapter.requires if one not in ids]
    if problems:
        raise LabError(f"{folder / CATALOGUE} and the notebooks beside it do not agree:\n  " + "\n  ".join(problems))
    return tuple(found)


def select(catalogue: Sequence[Chapter], names: Iterable[str] | None) -> tuple[Chapter, ...]:
    """The chapters named by id or file name, in the order of the course; all if none is named."""
    wanted = list(dict.fromkeys(names or ()))
    known = {key: chapter for chapter in catalogue for key in (chapter.id, chapter.path.stem, chapter.path.name)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        ids = ", ".join(one.id for one in catalogue)
        lines = [f"there is no chapter {name!r}{suggest(name, known)}; chapters: {ids}" for name in unknown]
        raise ParameterError("\n".join(lines))
    chosen = {known[name].id for name in wanted}
    return tuple(one for one in catalogue if not wanted or one.id in chosen)


def resolve(selected: Sequence[Chapter], given: Mapping[str, Any], *, quick: bool = False) -> dict[str, dict[str, Any]]:
    """The values to give each chapter, by chapter id: those that differ from what the notebook says by itself.

    A value goes to every chapter that has the parameter. Every problem is collected before one error is raised.
    """
    known = {parameter.name for chapter in selected for parameter in chapter.parameters}
    unknown = [name for name in given if name not in known]
    problems = [f"no selected chapter has a parameter {name!r}{suggest(name, known)}" for name in unknown]
    values: dict[str, dict[str, Any]] = {}
    refused: dict[str, list[str]] = {}
    for chapter in selected:
        values[chapter.id] = dict(chapter.quick) if quick else {}
        for parameter in chapter.parameters:
            if parameter.name in given:
                try:
                    values[chapter.id][parameter.name] = parameter.accept(given[parameter.name])
                except ValueError as problem:
                    refused.setdefault(str(problem), []).append(chapter.id)
    problems += [f"chapter{'s' * (len(ids) > 1)} {', '.join(ids)}: {problem}" for problem, ids in refused.items()]
    if problems:
        raise ParameterError("\n".join(problems))
    return values


def _read_catalogue(folder: Path) -> dict[str, Any]:
    path = folder / CATALOGUE
    if not path.is_file():
        raise LabError(f"{folder} is no course: it has no {CATALOGUE}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise LabError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise LabError(f"{path} must hold 'parts' and 'chapters'")
    return content


class _Problems(ValueError):
    """What is wrong with a chapter, one argument a problem."""


def _read_chapter(folder: Path, entry: Mapping[str, Any], parts: Mapping[int, str]) -> Chapter:
    if problems := _check_entry(entry, parts):
        raise _Problems(*problems)
    path = folder / entry["file"]
    cells = _read_cells(path)
    parameters = _read_parameters(cells, entry)
    timeout = _TIMEOUT | entry["timeout"]
    return Chapter(
        **{name: entry[name] for name in ("id", "title", "part", "minutes", "needs", "own_data")},
        part_title=parts[entry["part"]],
        path=path.resolve(),
        parameters=parameters,
        datasets=tuple(entry["datasets"]),
        quick={one.name: one.accept(entry["quick"][one.name]) for one in parameters if one.name in entry["quick"]},
        cell_timeout=timeout["cell"],
        chapter_timeout=timeout["chapter"],
        requires=tuple(entry["requires"]),
        introduces=tuple((one["en"], one["zh"]) for one in entry["introduces"]),
        objectives=_objectives(cells),
    )


def _check_entry(entry: Mapping[str, Any], parts: Mapping[int, str]) -> list[str]:
    """What is wrong with an entry of the catalogue by itself; its values are looked at once its types are right."""
    problems = [f"{name!r} is missing" for name in _REQUIRED if name not in entry]
    problems += [f"unknown entry {name!r}{suggest(name, _TYPES)}" for name in entry if name not in _TYPES]
    problems += [
        f"{name!r} must be {kind.__name__}, not {entry[name]!r}"
        for name, kind in _TYPES.items()
        if name in entry and type(entry[name]) is not kind
    ]
    if problems:
        return problems
    extras = metadata.metadata("crmlab").get_all("Provides-Extra") or []
    if entry["needs"] not in ("", *extras):
        problems.append(f"'needs' must be an extra of crmlab ({', '.join(extras)}), not {entry['needs']!r}")
    if not all(name in _TIMEOUT and type(seconds) in (int, float) for name, seconds in entry["timeout"].items()):
        problems.append(f"'timeout' must give seconds for 'cell' or 'chapter', not {entry['timeout']}")
    if entry["part"] not in parts:
        problems.append(f"part {entry['part']} has no title under 'parts'")
    return problems


def _read_cells(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise _Problems(f"there is no notebook {path.name}")
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (ValueError, KeyError, TypeError):
        raise _Problems(f"{path.name} is no notebook") from None


def _read_parameters(cells: list[dict[str, Any]], entry: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters that the notebook declares, with the limits of its catalogue entry."""
    tagged = ["".join(one["source"]) for one in cells if "parameters" in one.get("metadata", {}).get("tags", ())]
    if len(tagged) != 1:
        raise _Problems(f"exactly one cell must be tagged 'parameters'; {len(tagged)} are")
    try:
        declared = {one.name: one for one in read_parameters(tagged[0])}
    except (ValueError, SyntaxError) as problem:
        raise _Problems(f"parameters cell: {problem}") from None
    problems = [
        f"the catalogue names a parameter {name!r} that the notebook has not{suggest(name, declared)}"
        for name in sorted({*entry["parameters"], *entry["quick"]} - set(declared))
    ]
    if entry["own_data"] and not {"data", "columns"} <= set(declared):
        problems.append("it says own_data but has no parameters 'data' and 'columns'")
    for name in declared:
        try:
            declared[name] = restrict(declared[name], entry["parameters"].get(name, {}))
            declared[name].accept(entry["quick"].get(name, declared[name].default))
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise _Problems(*problems)
    return tuple(declared.values())


def _objectives(cells: list[dict[str, Any]]) -> tuple[str, ...]:
    """The items of the first list in the first text cell, each on one line."""
    text = next(("".join(one["source"]) for one in cells if one["cell_type"] == "markdown"), "")
    block = re.search(rf"{_ITEM}(?:.*\S.*\n?)+", text, re.MULTILINE)
    items = re.split(_ITEM, block[0], flags=re.MULTILINE)[1:] if block else ()
    return tuple(" ".join(one.split()) for one in items)
