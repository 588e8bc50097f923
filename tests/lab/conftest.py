"""Small courses, made afresh for each test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

MakeCourse = Callable[..., Path]


def code(source: str, *tags: str) -> Any:
    """A code cell with tags."""
    cell = new_code_cell(source)
    cell.metadata.tags = list(tags)
    return cell


def write_chapter(path: Path, parameters: str, *cells: Any) -> None:
    """A notebook: title, parameters cell, then the given cells (a string is code)."""
    title = new_markdown_cell(
        "# A chapter\n\nAfterwards you can\n\n- count customers,\n  all of them\n- draw them\n\n1. no"
    )
    body = [code(one) if isinstance(one, str) else one for one in cells]
    notebook = new_notebook(cells=[title, code(parameters, "parameters"), *body])
    # a kernel that nobody has: the runner must not look for it
    notebook.metadata.kernelspec = {"name": "somebody-elses", "language": "python", "display_name": "?"}
    nbformat.write(notebook, path)


@pytest.fixture
def make_course(tmp_path: Path) -> MakeCourse:
    """Makes a course: one keyword a chapter (``c12``), giving its cells and, as a last dict, its catalogue entry."""
    return course_maker(tmp_path / "course")


def course_maker(folder: Path) -> MakeCourse:
    def make(parameters: str = "n: int = 3  # how many\nseed: int = 1", **chapters: list[Any]) -> Path:
        folder.mkdir(exist_ok=True)
        entries = []
        for name, cells in chapters.items():
            id = name.removeprefix("c")
            file = f"{id}_chapter.ipynb"
            entry: dict[str, Any] = {"id": id, "file": file, "title": f"Chapter {id}", "part": 1, "minutes": 30}
            if cells and type(cells[-1]) is dict:
                entry |= cells[-1]
                cells = cells[:-1]
            write_chapter(folder / file, entry.pop("cell", parameters), *cells)
            entries.append(entry)
        catalogue = {"parts": {1: "The first"}, "chapters": entries}
        (folder / "course.yml").write_text(yaml.safe_dump(catalogue, allow_unicode=True), encoding="utf-8")
        return folder

    return make
