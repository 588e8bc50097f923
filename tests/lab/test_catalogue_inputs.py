"""The catalogue: what is read from course.yml and the notebooks, and how a disagreement is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from crmlab.errors import LabError, ParameterError
from crmlab.lab import chapters
from crmlab.lab.catalogue import resolve, select
from crmlab.lab.parameters import Text
from tests.lab.conftest import MakeCourse


def test_a_chapter_is_read_from_catalogue_and_notebook(make_course: MakeCourse) -> None:
    entry = {
        "datasets": ["cdnow"], "needs": "data", "parameters": {"n": {"min": 2, "max": 9}}, "quick": {"n": 2},
        "timeout": {"cell": 5}, "introduces": [{"en": "recency", "zh": "最近一次购买"}],
    }  # fmt: skip
    first, second = chapters(make_course(c11=["1"], c12=[entry | {"requires": ["11"]}]))
    assert (first.id, second.id) == ("11", "12")
    assert (second.title, second.part_title, second.minutes) == ("Chapter 12", "The first", 30)
    assert second.objectives == ("count customers, all of them", "draw them")
    assert second.defaults == {"n": 3, "seed": 1}
    assert second.parameters[0].limits() == "at least 2, at most 9"
    assert second.introduces == (("recency", "最近一次购买"),)
    assert (second.datasets, second.needs, second.own_data) == (("cdnow",), "data", False)
    assert (second.cell_timeout, second.chapter_timeout) == (5, 300)
    assert (second.requires, second.quick) == (("11",), {"n": 2})


def test_every_disagreement_is_told_at_once(make_course: MakeCourse) -> None:
    course = make_course(
        c11=[{"parameters": {"m": {"min": 1}}, "quick": {"n": "x"}}],
        c12=[{"own_data": True, "requires": ["99"]}],
        c13=[{"part": 7, "minutes": "long", "colour": "red"}],
        c14=[{"cell": "n = 3"}],
        c15=[{"part": 7}],
        c16=[{"file": "none.ipynb"}],
        c17=[{"needs": "dta", "timeout": {"cel": 5}}],
    )
    content = yaml.safe_load((course / "course.yml").read_text(encoding="utf-8"))
    del content["chapters"][2]["title"]
    (course / "course.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(LabError) as error:
        chapters(course)
    for problem in (
        "chapter 11: the catalogue names a parameter 'm' that the notebook has not",
        "chapter 11: n = 'x': a whole number is expected",
        "chapter 12: it says own_data but has no parameters 'data' and 'columns'",
        "chapter 13: 'title' is missing",
        "chapter 13: unknown entry 'colour'",
        "chapter 13: 'minutes' must be int, not 'long'",
        "chapter 14: parameters cell: 'n = 3'",
        "chapter 15: part 7 has no title",
        "chapter 16: there is no notebook none.ipynb",
        "chapter 17: 'needs' must be an extra of crmlab (",
        "chapter 17: 'timeout' must give seconds for 'cell' or 'chapter', not {'cel': 5}",
    ):
        assert problem in str(error.value)


def test_requirements_and_ids_are_checked_across_chapters(make_course: MakeCourse) -> None:
    with pytest.raises(LabError, match=r"chapter 12: requires an unknown 99"):
        chapters(make_course(c12=[{"requires": ["99"]}]))
    with pytest.raises(LabError, match="chapter 12: the id is used twice"):
        chapters(make_course(c12=["1"], c13=[{"id": "12"}]))


@pytest.mark.parametrize(
    ("content", "problem"),
    [("chapters: [", "cannot be read"), ("- 1", "must hold 'parts' and 'chapters'"), (None, "it has no course.yml")],
)
def test_a_broken_catalogue_is_told(tmp_path: Path, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "course.yml").write_text(content, encoding="utf-8")
    with pytest.raises(LabError, match=problem):
        chapters(tmp_path)


def test_a_broken_notebook_is_told(make_course: MakeCourse) -> None:
    course = make_course(c11=["1"])
    (course / "11_chapter.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(LabError, match=r"chapter 11: 11_chapter.ipynb is no notebook"):
        chapters(course)
    (course / "11_chapter.ipynb").write_text('{"cells": []}', encoding="utf-8")
    with pytest.raises(LabError, match="exactly one cell must be tagged 'parameters'; 0 are"):
        chapters(course)


def test_an_empty_catalogue_is_an_empty_course(tmp_path: Path) -> None:
    (tmp_path / "course.yml").write_text("parts: {}\nchapters: []\n", encoding="utf-8")
    assert chapters(tmp_path) == ()


def test_chapters_are_selected_by_id_or_file_in_the_order_of_the_course(make_course: MakeCourse) -> None:
    catalogue = chapters(make_course(c11=["1"], c12=["1"], c13=["1"]))
    assert [one.id for one in select(catalogue, None)] == ["11", "12", "13"]
    assert [one.id for one in select(catalogue, ["13", "11_chapter", "11"])] == ["11", "13"]
    with pytest.raises(
        ParameterError, match=r"there is no chapter '12_chaptr' \(did you mean '12_chapter'\?\); chapters: 11, 12, 13"
    ):
        select(catalogue, ["12_chaptr"])


def test_values_go_to_every_chapter_that_has_the_parameter(make_course: MakeCourse) -> None:
    quick = {"quick": {"n": 2, "seed": 9}}
    catalogue = chapters(make_course(c11=[quick], c12=[{"cell": "share: float = 0.5"}]))
    assert resolve(catalogue, {"n": Text("5"), "share": 1}) == {"11": {"n": 5}, "12": {"share": 1.0}}
    assert resolve(catalogue, {"n": 5}, quick=True) == {"11": {"n": 5, "seed": 9}, "12": {}}
    (chapter,) = chapters(make_course(c11=[{"cell": "share: float = 0.5", "quick": {"share": 1}}]))
    assert isinstance(resolve([chapter], {}, quick=True)["11"]["share"], float)  # as if it had been given


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"segmnts": 5}, ["no selected chapter has a parameter 'segmnts' (did you mean 'segments'?)"]),
        ({"segments": 1}, ["chapters 11, 12: segments = 1: must be at least 2"]),
        (
            {"segments": Text("x"), "q": 1},
            ["no selected chapter has a parameter 'q'", "chapters 11, 12: segments = x: a whole number is expected"],
        ),
    ],
)
def test_every_wrong_value_is_told_in_a_line_of_its_own(
    make_course: MakeCourse, given: dict[str, Any], lines: list[str]
) -> None:
    entry = {"cell": "segments: int = 5", "parameters": {"segments": {"min": 2}}}
    with pytest.raises(ParameterError) as error:
        resolve(chapters(make_course(c11=[entry], c12=[entry])), given)
    assert str(error.value).splitlines() == lines
