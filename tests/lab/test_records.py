"""record and export: what is shown, what is refused, what may be run again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from crmlab.errors import LabError
from crmlab.lab import export, record
from crmlab.lab.records import RECORD_MIME

RunCell = Callable[..., list[dict[str, Any]]]


class Shell(InteractiveShell):
    """A shell that knows the id of a cell, as a front end tells it."""

    cell_id = ""

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell_id}} if self.cell_id else {}


@pytest.fixture
def run_cell() -> Iterator[RunCell]:
    """Runs a cell in a notebook's shell and returns what it displayed; errors are raised."""
    shell = Shell.instance()

    def run(source: str, cell_id: str = "") -> list[dict[str, Any]]:
        shell.cell_id = cell_id
        with capture_output() as captured:
            shell.run_cell("from crmlab.lab import record, export", store_history=False)
            result = shell.run_cell(source, store_history=True)
        result.raise_error()
        return [one.data for one in captured.outputs]

    yield run
    Shell.clear_instance()


def test_a_record_is_one_output_in_two_forms(run_cell: RunCell) -> None:
    outputs = run_cell("record('customers', 23570, unit='people', published='CDN-107l')")
    assert outputs == [
        {
            RECORD_MIME: {"name": "customers", "value": 23570, "unit": "people", "published": "CDN-107l"},
            "text/plain": "customers = 23,570 people [CDN-107l]",
        }
    ]


@pytest.mark.parametrize(
    ("value", "plain", "text"),
    [
        (np.int64(69_659), 69_659, "69,659"),
        (np.float64(0.237), 0.237, "0.237"),
        (np.float32(0.5), 0.5, "0.5"),
        (np.array(3), 3, "3"),
        (pd.Series([2.5]).sum(), 2.5, "2.5"),
        (2_500_315.63, 2_500_315.63, "2,500,315.63"),
        (1 / 3, 1 / 3, "0.333333"),
        (np.True_, True, "True"),
        ("nested", "nested", "nested"),
    ],
)
def test_values_are_recorded_as_json_knows_them(
    value: Any, plain: Any, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("crmlab.lab.records.show", shown.append)
    record("x", value)
    recorded = shown[0][RECORD_MIME]["value"]
    assert recorded == plain
    assert type(recorded) is type(plain)
    assert shown[0]["text/plain"] == f"x = {text}"


@pytest.mark.parametrize(
    "value", [float("nan"), np.inf, None, [1], np.array([1, 2]), pd.NA, 1j, pd.Timestamp("2020-01-01")]
)
def test_a_value_that_is_not_one_number_text_or_bool_is_refused(value: Any) -> None:
    with pytest.raises(LabError, match=r"record 'x': .* cannot be recorded; give one finite number"):
        record("x", value)


@pytest.mark.parametrize("name", ["", "Rows", "a b", "1st", "a-b", "ü", 3])
def test_a_name_is_lower_case_words(name: Any) -> None:
    with pytest.raises(LabError, match="lower-case letters"):
        record(name, 1)


def test_plain_python_prints_and_holds_no_names(capsys: pytest.CaptureFixture[str]) -> None:
    record("rows", 1)
    record("rows", 2)
    assert capsys.readouterr().out == "rows = 1\nrows = 2\n"


def test_a_name_belongs_to_one_cell(run_cell: RunCell) -> None:
    run_cell("record('rows', 1)", "a")
    with pytest.raises(LabError, match="record 'rows' is already taken"):
        run_cell("record('rows', 1)", "b")
    with pytest.raises(LabError, match="record 'twice' is already taken"):
        run_cell("record('twice', 1); record('twice', 2)", "c")


def test_a_cell_may_be_edited_and_run_again(run_cell: RunCell) -> None:
    run_cell("record('rows', 1)", "a")
    (output,) = run_cell("record('rows', 2)", "a")
    assert output[RECORD_MIME]["value"] == 2


def test_without_cell_ids_the_source_tells_cells_apart(run_cell: RunCell) -> None:
    run_cell("record('rows', 1)")
    run_cell("record('rows', 1)")
    with pytest.raises(LabError, match="already taken"):
        run_cell("record('rows', 2)")


def test_an_export_is_named_by_chapter_in_the_folder_of_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRMLAB_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("CRMLAB_CHAPTER", "12")
    frame = pd.DataFrame({"customer_id": ["007", "é"], "amount": [1.5, 2.0]}, index=[4, 2])
    export("mailing_list", frame.reset_index(drop=True))
    (path,) = (tmp_path / "tables").iterdir()
    assert path.name == "12_mailing_list.csv"
    assert path.read_text(encoding="utf-8") == "customer_id,amount\n007,1.5\né,2.0\n"
    assert capsys.readouterr().out == "table mailing_list: 2 rows -> tables/12_mailing_list.csv\n"


def test_an_index_that_means_something_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRMLAB_TABLES", raising=False)
    totals = pd.Series([1, 2], index=pd.Index(["a", "b"], name="segment"), name="customers")
    export("totals", totals)
    export("plain", totals.reset_index())
    for name in ("totals.csv", "plain.csv"):
        assert (tmp_path / "tables" / name).read_text() == "segment,customers\na,1\nb,2\n"


@pytest.mark.filterwarnings("ignore:.*future.infer_string")  # from making the table; exporting it is quiet
def test_an_ibis_table_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ibis

    monkeypatch.setenv("CRMLAB_TABLES", str(tmp_path))
    export("t", ibis.memtable({"a": [1, 2]}))
    assert (tmp_path / "t.csv").read_text() == "a\n1\n2\n"


def test_what_is_no_table_or_no_name_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMLAB_TABLES", str(tmp_path / "tables"))
    with pytest.raises(LabError, match="a DataFrame, Series or ibis table is needed, not a list"):
        export("t", [1, 2])
    for name in ("../t", "a/b", "a\\b", "t.csv", ""):
        with pytest.raises(LabError, match="export name"):
            export(name, pd.DataFrame())
    assert not (tmp_path / "tables").exists()


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unwritable:
        def __str__(self) -> str:
            raise OSError("cannot be written")

    monkeypatch.setenv("CRMLAB_TABLES", str(tmp_path))
    export("t", pd.DataFrame({"a": [1]}))
    with pytest.raises(OSError, match="cannot be written"):
        export("t", pd.DataFrame({"a": [Unwritable()]}))
    assert (tmp_path / "t.csv").read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "t.csv"]


def test_an_exported_name_belongs_to_one_cell(
    run_cell: RunCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMLAB_TABLES", str(tmp_path))
    cell = "import pandas as pd; export('t', pd.DataFrame({'a': [1]}))"
    assert run_cell(cell, "a") == [{"text/plain": f"table t: 1 rows -> {tmp_path.name}/t.csv"}]  # and no second output
    with pytest.raises(LabError, match="export 't' is already taken"):
        run_cell(cell, "b")
