"""The catalogue of chapters: what ``course.yml`` says, checked against the notebooks."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from crmlab.errors import LabError, ParameterError
from crmlab.lab.files import digest
from crmlab.lab.parameters import Parameter, read_parameters, restrict, suggest
from crmlab.resources import course_dir

CATALOGUE = "course.yml"

_REQUIRED = {"id": str, "file": str, "title": str, "part": int, "minutes": int}
_OPTIONAL = {
    "datasets": list,
    "needs": str,
    "own_data": bool,
    "parameters": dict,
    "quick": dict,
    "timeout": dict,
    "requires": list,
    "introduces": list,
}


@dataclass(frozen=True)
class Chapter:
    """One chapter of the course.

    Attributes
    ----------
    id, title : str
        Such as ``"12"`` and its title.
    part : int
        Number of the part it belongs to, and `part_title` its name.
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
        The terms it introduces, in English and Chinese.
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

    @property
    def checksum(self) -> str:
        """SHA-256 of the notebook."""
        return digest(self.path)


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
    parts = content.get("parts") or {}
    entries = content.get("chapters") or []
    problems: list[str] = []
    found = [chapter for entry in entries if (chapter := _read_chapter(folder, entry, parts, problems))]
    ids = [one.id for one in found]
    problems += [f"chapter {one}: the id is used twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for chapter in found if len(found) == len(entries) else []:
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
        lines = [f"there is no chapter {name!r}{suggest(name, known)} (chapters: {ids})" for name in unknown]
        raise ParameterError("\n".join(lines))
    chosen = {known[name].id for name in wanted}
    return tuple(one for one in catalogue if not wanted or one.id in chosen)


def resolve(selected: Sequence[Chapter], given: Mapping[str, Any], *, quick: bool = False) -> dict[str, dict[str, Any]]:
    """The values to give each chapter, by chapter id: those that differ from what the notebook says by itself.

    A value goes to every chapter that has the parameter. Every problem is collected before one error is raised.
    """
    known = {parameter.name for chapter in selected for parameter in chapter.parameters}
    problems = [
        f"no selected chapter has a parameter {name!r}{suggest(name, known)}" for name in given if name not in known
    ]
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
    import yaml

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


def _read_chapter(folder: Path, entry: dict[str, Any], parts: Mapping[int, str], problems: list[str]) -> Chapter | None:
    """One chapter, or None after its problems were added to `problems`."""
    label = f"chapter {entry.get('id', '?')}"
    found = _check_entry(entry, parts)
    path = folder / str(entry.get("file", ""))
    if not found and not path.is_file():
        found.append(f"there is no notebook {path.name}")
    cells = [] if found else _read_cells(path, found)
    parameters = () if found else _read_parameters(cells, entry, found)
    if found:
        problems += [f"{label}: {one}" for one in found]
        return None
    timeout = entry.get("timeout", {})
    return Chapter(
        id=entry["id"],
        title=entry["title"],
        part=entry["part"],
        part_title=parts[entry["part"]],
        path=path.resolve(),
        minutes=entry["minutes"],
        parameters=parameters,
        datasets=tuple(entry.get("datasets", ())),
        needs=entry.get("needs", ""),
        own_data=entry.get("own_data", False),
        quick=entry.get("quick", {}),
        cell_timeout=timeout.get("cell", 60),
        chapter_timeout=timeout.get("chapter", 300),
        requires=tuple(entry.get("requires", ())),
        introduces=tuple((one["en"], one["zh"]) for one in entry.get("introduces", ())),
        objectives=_objectives(cells),
    )


def _check_entry(entry: Mapping[str, Any], parts: Mapping[int, str]) -> list[str]:
    types = _REQUIRED | _OPTIONAL
    problems = [f"{name!r} is missing" for name in _REQUIRED if name not in entry]
    problems += [f"unknown entry {name!r}{suggest(name, types)}" for name in entry if name not in types]
    problems += [
        f"{name!r} must be {kind.__name__}, not {entry[name]!r}"
        for name, kind in types.items()
        if name in entry and type(entry[name]) is not kind
    ]
    extras = metadata.metadata("crmlab").get_all("Provides-Extra") or []
    if entry.get("needs") and entry["needs"] not in extras:
        problems.append(f"'needs' must be an extra of crmlab ({', '.join(extras)}), not {entry['needs']!r}")
    if not problems and entry["part"] not in parts:
        problems.append(f"part {entry['part']} has no title under 'parts'")
    return problems


def _read_cells(path: Path, problems: list[str]) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (ValueError, KeyError, TypeError):
        problems.append(f"{path.name} is no notebook")
        return []


def _read_parameters(
    cells: list[dict[str, Any]], entry: Mapping[str, Any], problems: list[str]
) -> tuple[Parameter, ...]:
    """The parameters that the notebook declares, with the limits of its catalogue entry."""
    tagged = ["".join(one["source"]) for one in cells if "parameters" in one.get("metadata", {}).get("tags", ())]
    if len(tagged) != 1:
        problems.append(f"exactly one cell must be tagged 'parameters'; {len(tagged)} are")
        return ()
    try:
        declared = {one.name: one for one in read_parameters(tagged[0])}
    except (ValueError, SyntaxError) as problem:
        problems.append(f"parameters cell: {problem}")
        return ()
    for name in {*entry.get("parameters", {}), *entry.get("quick", {})} - set(declared):
        problems.append(f"the catalogue names a parameter {name!r} that the notebook has not{suggest(name, declared)}")
    if entry.get("own_data") and not {"data", "columns"} <= set(declared):
        problems.append("it says own_data but has no parameters 'data' and 'columns'")
    restricted = []
    for name, parameter in declared.items():
        try:
            parameter = restrict(parameter, entry.get("parameters", {}).get(name, {}))
            if name in entry.get("quick", {}):
                parameter.accept(entry["quick"][name])
        except ValueError as problem:
            problems.append(str(problem))
        restricted.append(parameter)
    return tuple(restricted)


def _objectives(cells: list[dict[str, Any]]) -> tuple[str, ...]:
    """The items of the first list in the first text cell, each on one line."""
    text = next(("".join(one["source"]) for one in cells if one["cell_type"] == "markdown"), "")
    found: list[str] = []
    for line in map(str.strip, text.splitlines()):
        item = re.match(r"(?:[-*]|\d+[.)])\s+(.*)", line)
        if item:
            found.append(item[1])
        elif line and found:
            found[-1] += f" {line}"
        elif found:
            break
    return tuple(found)
