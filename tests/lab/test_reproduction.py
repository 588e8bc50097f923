"""Published numbers: the file, and the comparison with a run."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmlab.errors import LabError
from crmlab.lab import Run, published, reproduce
from crmlab.lab.catalogue import chapters
from crmlab.lab.records import RECORD_MIME
from crmlab.lab.results import ChapterResult, write_provenance
from tests.lab.conftest import MakeCourse

HEAD = "id,value,tolerance,chapter,record,dataset,parameters,source,status,note\n"


def numbers(tmp_path: Path, *rows: str) -> pd.DataFrame:
    path = tmp_path / "published.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    return published(path)


def past_run(folder: Path, course: Path, records: dict[str, tuple[Any, str | None]], **result: Any) -> Run:
    """A run of chapter 11 as a runner leaves it, with these records."""
    (folder / "notebooks").mkdir(parents=True)
    data = [{"name": name, "value": value, "unit": "", "published": id} for name, (value, id) in records.items()]
    outputs = [{"output_type": "display_data", "data": {RECORD_MIME: one}, "metadata": {}} for one in data]
    notebook = {"cells": [{"cell_type": "code", "outputs": outputs, "source": ""}, {"cell_type": "markdown"}]}
    (folder / "notebooks" / "11.ipynb").write_text(json.dumps(notebook))
    (chapter,) = chapters(course)
    entry = {"parameters": chapter.defaults, "status": "ok"} | result
    write_provenance(folder, {}, (ChapterResult("11", "A", notebook="notebooks/11.ipynb", **entry),))
    return Run.read(folder)


@pytest.fixture
def course(make_course: MakeCourse) -> Path:
    return make_course(c11=["1", {"cell": "n: int = 3\nengine: str = 'duckdb'\ndata: str = ''"}])


def test_each_outcome(course: Path, tmp_path: Path) -> None:
    run = past_run(
        tmp_path / "run", course,
        {"a": (3, "P-1"), "b": (2.2249, "P-2"), "c": (2.24, "P-3"), "d": (7, "P-4"), "e": (1, "P-5"), "f": (1, "P-6"),
         "g": (103, "P-7"), "h": (5, "P-99"), "own": (1, None), "elsewhere": (1, "P-12")},
    )  # fmt: skip
    table = numbers(
        tmp_path,
        "P-1,3,0,11,a,cdnow,{},S,printed,",
        "P-2,2.22,0.005,11,b,cdnow,{},S,printed,",
        "P-3,2.22,0.005,11,c,cdnow,{},S,printed,why",
        'P-4,8,0,11,d,cdnow,{},S,"differs, explained",a misprint',
        "P-5,2,0,11,e,cdnow,{},S,unverified,",
        "P-6,2,0,11,f,cdnow,{},S,own,",
        "P-7,100,3%,11,g,cdnow,{},S,printed,",
        "P-8,1,0,11,lost,cdnow,{},S,printed,",
        'P-9,1,0,11,other,cdnow,"{""n"": 4}",S,printed,',
        "P-10,1,0,12,later,cdnow,{},S,printed,",
        "P-11,1,0,11,x,cdnow,{},S,no data,cannot be had",
        "P-12,1,0,11,here,cdnow,{},S,printed,",
    )
    result = reproduce(run, course=course, numbers=table)
    assert list(zip(result.table["id"], result.table["outcome"], strict=True)) == [
        ("P-1", "reproduced"),
        ("P-2", "reproduced"),
        ("P-3", "differs"),
        ("P-4", "differs, explained"),
        ("P-5", "unverified"),
        ("P-6", "own"),
        ("P-7", "reproduced"),
        ("P-8", "not recorded"),
        ("P-9", "not comparable"),
        ("P-10", "not run"),
        ("P-11", "no data"),
        ("P-12", "not recorded"),
        ("P-99", "unknown"),
        ("P-12", "unknown"),
    ]
    assert result.counts["reproduced"] == 3
    assert not result.ok
    assert repr(result).startswith("3 reproduced; ")
    notes = result.table.drop_duplicates("id").set_index("id")["note"]
    assert notes["P-9"] == "other n"
    assert notes["P-4"] == "a misprint"


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(2.225, "reproduced"), (2.215, "reproduced"), (2.2250001, "differs"), (2.2149, "differs")],
)
def test_the_tolerance_is_inclusive(course: Path, tmp_path: Path, value: float, outcome: str) -> None:
    run = past_run(tmp_path / "run", course, {"b": (value, "P-2")})
    result = reproduce(run, course=course, numbers=numbers(tmp_path, "P-2,2.22,0.005,11,b,c,{},S,printed,"))
    assert result.table["outcome"].tolist() == [outcome]
    assert result.ok is (outcome == "reproduced")


@pytest.mark.parametrize(
    ("parameters", "outcome"),
    [
        ({"n": 3, "engine": "spark", "data": ""}, "reproduced"),
        ({"n": 4, "engine": "duckdb", "data": ""}, "not comparable"),
        ({"n": 3, "engine": "duckdb", "data": "x.csv (sha256 1)"}, "not comparable"),
        ({"n": 3}, "not comparable"),
    ],
)
def test_only_records_of_the_same_parameters_are_compared(
    course: Path, tmp_path: Path, parameters: dict[str, Any], outcome: str
) -> None:
    run = past_run(tmp_path / "run", course, {"a": (3, "P-1")}, parameters=parameters)
    result = reproduce(run, course=course, numbers=numbers(tmp_path, "P-1,3,0,11,a,c,{},S,printed,"))
    assert result.table["outcome"].tolist() == [outcome]
    assert result.ok


def test_a_chapter_that_did_not_finish_was_not_run(course: Path, tmp_path: Path) -> None:
    run = past_run(tmp_path / "run", course, {"a": (3, "P-1")}, status="failed", message="ValueError: x")
    result = reproduce(run, course=course, numbers=numbers(tmp_path, "P-1,3,0,11,a,c,{},S,printed,"))
    assert result.table[["outcome", "note"]].to_numpy().tolist() == [["not run", "ValueError: x"]]
    assert result.table["value"].isna().all()


def test_the_newest_run_is_taken(course: Path, tmp_path: Path) -> None:
    table = numbers(tmp_path, "P-1,3,0,11,a,c,{},S,printed,")
    with pytest.raises(LabError, match="there is no run in"):
        reproduce(out=tmp_path / "runs", course=course, numbers=table)
    past_run(tmp_path / "runs" / "20260101-000000", course, {"a": (4, "P-1")})
    past_run(tmp_path / "runs" / "20260102-000000", course, {"a": (3, "P-1")})
    assert reproduce(out=tmp_path / "runs", course=course, numbers=table).ok
    assert not reproduce(tmp_path / "runs" / "20260101-000000", course=course, numbers=table).ok


def test_a_malformed_file_is_told_with_every_problem(tmp_path: Path) -> None:
    with pytest.raises(LabError) as error:
        numbers(
            tmp_path,
            "P-1,x,0,11,a,c,{},S,printed,",
            "P-2,1,none,11,a,c,{},S,printed,",
            "P-3,1,0,11,a,c,[],S,printed,",
            "P-4,1,0,11,a,c,{},S,maybe,",
            "P-4,1,0,11,a,c,{,S,printed,",
        )
    for problem in (
        "P-1: could not convert",
        "P-2: could not convert",
        "P-3: parameters must be a JSON object",
        "P-4: status 'maybe' is not one of",
        "P-4: Expecting",
        "P-4: the id is used twice",
    ):
        assert problem in str(error.value)
    (tmp_path / "other.csv").write_text("id,value\n")
    with pytest.raises(LabError, match="the columns must be id, value, tolerance"):
        published(tmp_path / "other.csv")


def test_the_published_numbers_of_the_course() -> None:
    """Facts that the printed sources tie together."""
    table = published()
    assert not table.duplicated(["chapter", "record"]).any()
    assert (table["tolerance"] >= 0).all()
    assert table["source"].str.len().gt(0).all()
    value = table["value"]
    triers = value[value.index.str.startswith("CDN-107")]
    assert len(triers) == 12
    assert triers.is_monotonic_increasing
    assert triers.iloc[-1] == 23_570
    assert value[value.index.str.startswith("CDN-058")].sum() == 2_357
    assert value["CDN-058d"] == value["CDN-025"]
    assert round(value["CDN-059a"] * value["CDN-058a"]) == value["CDN-022"]
    assert value["RFM-002"] + value["RFM-003"] == value["RFM-001"]
    assert value[value.index.str.startswith("RFM-022")].sum() == value["RFM-003"]
