"""The command line: what it prints, and with which code it ends."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from crmlab import __version__
from crmlab.cli import _Progress, main
from crmlab.lab import ChapterResult, Event

SEGMENTS = """segments: int = 5  # how many groups
data: str = ""
columns: dict[str, str] = {}
dataset: str = "cdnow\""""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """Chapter 12 counts segments and takes own data, chapter 13 fails."""
    folder = tmp_path / "course"
    folder.mkdir()
    cells = {
        "12_segments.ipynb": (SEGMENTS, "from crmlab.lab import *\nrecord('segments', segments, published='CDN-025')\n"
                              "checker('12.1')(lambda answer: None)\ncheck('12.1', 1)"),
        "13_fails.ipynb": ("seed: int = 1", "raise ValueError('no customers in [the] table')"),
    }  # fmt: skip
    for name, (parameters, source) in cells.items():
        declared = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        title = new_markdown_cell("# Segments\n\n- tell customers apart")
        nbformat.write(new_notebook(cells=[title, declared, new_code_cell(source)]), folder / name)
    limits = {"segments": {"min": 2, "max": 10}}
    chapters = [
        {"id": "12", "file": "12_segments.ipynb", "title": "Segments", "part": 1, "minutes": 60, "datasets": ["cdnow"],
         "own_data": True, "parameters": limits, "introduces": [{"en": "recency", "zh": "最近一次购买"}]},
        {"id": "13", "file": "13_fails.ipynb", "title": "Fails", "part": 1, "minutes": 5, "needs": "data",
         "requires": ["12"]},
    ]  # fmt: skip
    catalogue = {"parts": {1: "Database marketing"}, "chapters": chapters}
    (folder / "course.yml").write_text(yaml.safe_dump(catalogue, allow_unicode=True), encoding="utf-8")
    return folder


def crmlab(*arguments: object) -> int:
    """Run the command line in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(one) for one in arguments])
    return int(end.value.code or 0)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert crmlab("--version") == 0
    assert capsys.readouterr().out == f"crmlab {__version__}\n"
    assert crmlab("-h") == 0
    words = capsys.readouterr().out
    assert all(name in words for name in ("list", "show", "run", "reproduce", "lab", "datasets", "doctor"))
    assert crmlab("nonsense") == 2


def test_it_runs_as_a_module_and_prints_any_script_on_any_console(course: Path) -> None:
    command = [sys.executable, "-m", "crmlab", "show", "12", "--course", str(course)]
    shown = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii"}, check=True)
    assert b"recency ??????" in shown.stdout


def test_list(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmlab("list", "--course", course) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["Chapter", "Part", "Time", "Own", "data", "Needs"],
        ["12", "Segments", "Database", "marketing", "60", "min", "yes"],
        ["13", "Fails", "Database", "marketing", "5", "min", "crmlab[data]"],
    ]


def test_show(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmlab("show", "12_segments", "--course", course) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:5] == [
        "12 Segments (Database marketing, 60 min)",
        "- tell customers apart",
        "Data: cdnow",
        "Own data: yes, with --data FILE",
        "Introduces: recency 最近一次购买",
    ]
    assert "segments int 5 at least 2, at most 10 how many groups" in lines
    assert "columns dict[str, str] {}" in lines


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["12", "-p", "segmnts=5"], "no selected chapter has a parameter 'segmnts' (did you mean 'segments'?)"),
        (["12", "-p", "segments=5.5"], "chapter 12: segments = 5.5: a whole number is expected"),
        (["12", "-p", "segments=99"], "chapter 12: segments = 99: must be at least 2, at most 10"),
        (["12", "-p", "segments"], "-p segments: write it as -p name=value"),
        (["12", "-p", "dataset=cdnwo"], "chapter 12: there is no data set 'cdnwo' (did you mean 'cdnow'?)"),
        (["21"], "there is no chapter '21'; chapters: 12, 13"),
        (["12", "-p", "data=x.csv"], "give 'data' with --data; in Python, run(..., data=...)"),
        (["--data", "none.csv"], "there is no file 'none.csv' to take as own data"),
        (["--data", "course.yml", "--columns", "date"], "--columns date: write it as 'customer_id=Client,date=Day'"),
        (["--data", "course.yml", "--columns", "{"], "--columns {: this is not JSON"),
        (["--data", "course.yml", "--columns", "date="], "columns = {'date': ''}: every name needs"),
        (["--columns", "date=Day"], "columns name the columns of your own file: give it with --data FILE"),
        (["--jobs", "0"], "jobs = 0: at least 1 is needed"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_one_clear_line(
    course: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(course)
    assert crmlab("run", *arguments, "--course", course) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"crmlab: {line}")
    assert output.err.count("\n") == 1
    assert not (course / "runs").exists()


def test_a_run_tells_what_passed_and_what_failed_and_where(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    assert crmlab("run", "--course", course, "--out", out, "-p", "segments=4", "--jobs", 2) == 1
    output = capsys.readouterr()
    (folder,) = out.iterdir()
    lines = [" ".join(line.split()) for line in output.out.splitlines()]
    assert lines[1].startswith("12 Segments ok ")
    assert lines[2].startswith("13 Fails failed ")
    notebook = folder / "notebooks" / "13_fails.ipynb"
    assert lines[2].endswith(f"ValueError: no customers in [the] table (cell 2 of {notebook})")
    assert lines[3:] == ["1 of 1 checks right", f"1 records, 0 tables; read {folder / 'index.html'}"]
    told = sorted(line.rsplit(",", 1)[0] for line in output.err.splitlines())
    assert told == ["12 Segments: ok", "13 Fails: failed"]
    assert json.loads((folder / "provenance.json").read_text())["chapters"][0]["parameters"]["segments"] == 4

    assert crmlab("reproduce", folder, "--course", course) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "CDN-025 12 segments 4 unknown not so in the published numbers" in lines
    assert lines[-1].startswith(f"{folder}: ")
    assert lines[-1].endswith("; 1 unknown")


def test_own_data_and_columns_reach_the_chapter(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sales.csv").write_text("x")
    columns = "customer_id=Client No, date=Day"
    out = tmp_path / "runs"
    assert crmlab("run", "--data", tmp_path / "sales.csv", "--columns", columns, "--course", course, "--out", out) == 0
    assert "does not take own data" in capsys.readouterr().out
    (folder,) = out.iterdir()
    done = json.loads((folder / "provenance.json").read_text())["chapters"][0]["parameters"]
    assert done["columns"] == {"customer_id": "Client No", "date": "Day"}
    assert done["data"].startswith("sales.csv (sha256 ")
    json_columns = json.dumps({"date": "Day, local"})
    arguments = ("run", "13", "--data", tmp_path / "sales.csv", "--columns", json_columns)
    assert crmlab(*arguments, "--course", course, "--out", out) == 1  # nothing has run


def test_reproduce_without_a_run(tmp_path: Path, course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmlab("reproduce", "--out", tmp_path / "none", "--course", course) == 1
    assert capsys.readouterr().err.startswith("crmlab: there is no run in")


def test_lab_copies_and_says_so(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine"
    assert crmlab("lab", mine, "--no-open", "--course", course) == 0
    (mine / "12_segments.ipynb").write_text("edited")
    capsys.readouterr()
    assert crmlab("lab", mine, "--no-open", "--course", course) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{mine / 'course.yml'}: up to date",
        f"{mine / '12_segments.ipynb'}: kept as it is: you edited it",
        f"{mine / '13_fails.ipynb'}: up to date",
    ]


def test_lab_opens_jupyterlab(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmlab.lab.workbench.open_lab", lambda folder: 7 if folder == tmp_path / "mine" else 0)
    assert crmlab("lab", tmp_path / "mine", "--course", course) == 7


def test_datasets(capsys: pytest.CaptureFixture[str]) -> None:
    assert crmlab("datasets") == 0
    listed = capsys.readouterr().out
    assert "cdnow_sample" in listed
    assert "69659" in listed
    assert crmlab("datasets", "cdnow") == 0
    assert "Worth knowing" in capsys.readouterr().out
    assert crmlab("datasets", "cdnw") == 1
    assert "cdnow" in capsys.readouterr().err


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert crmlab("doctor") == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["crmlab", "works", __version__]
    monkeypatch.setattr("crmlab.lab.catalogue.course_dir", lambda kind: tmp_path)
    assert crmlab("doctor") == 1


def test_progress_has_bars_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = ChapterResult("12", "Segments", "ok", seconds=2.5)
    with _Progress() as progress:
        for event in (Event("start", result), Event("cell", result, 1, 9), Event("cell", result, 7, 9)):
            progress.tell(event)
        progress.refresh()
        progress.tell(Event("end", result))
    shown = capsys.readouterr().err
    assert "cell 7 of 9" in shown
    assert "12 Segments: ok, 2.5 s" in shown
