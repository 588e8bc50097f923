"""The contracts: what passes, and what is said of what does not."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from crmlab import contracts
from crmlab.contracts import FIELDS, aligned, check_aligned, check_summary, check_table, require_columns, suggest
from crmlab.errors import ContractError


@pytest.fixture
def orders() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["A", "B", "C"],
            "date": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]),
            "amount": [1.0, -2.0, 0.0],
            "colour": ["red", None, "blue"],
        }
    )


def problems(frame: pd.DataFrame, kind: contracts.Kind) -> tuple[str, ...]:
    with pytest.raises(ContractError) as caught:
        check_table(frame, kind)
    return caught.value.problems


def test_a_good_table_comes_back_unchanged(orders):
    before = orders.copy(deep=True)
    assert check_table(orders, "transactions") is orders
    pd.testing.assert_frame_equal(orders, before)


@pytest.mark.parametrize("ids", [[1, 2, 3], ["1", "02", "x"], pd.array([1, 2, 3], dtype="Int64")])
def test_identifiers_are_text_or_whole_numbers(orders, ids):
    check_table(orders.assign(customer_id=ids), "transactions")


def test_optional_columns_may_have_gaps_and_other_columns_are_free(orders):
    full = orders.assign(
        order_id=pd.array([1, None, 3], dtype="Int64"), quantity=[1, np.nan, 2], channel=["web", None, "x"]
    )
    assert len(check_table(full, "transactions")) == 3


def test_all_problems_are_collected(orders):
    bad = orders.drop(columns="date").assign(
        customer_id=["A", None, "C"], amount=[np.inf, 1e15, np.nan], quantity="many"
    )
    assert problems(bad, "transactions") == (
        "column 'date' is missing from the table",
        "column 'customer_id' is missing in 1 of 3 rows (first: row 1)",
        "column 'amount' is missing in 1 of 3 rows (first: row 2)",
        "column 'amount' is not finite in 1 of 3 rows (first: row 0: inf)",
        "column 'amount' is beyond ±1e12 in 1 of 3 rows (first: row 1: 1000000000000000.0)",
        "column 'quantity' is not numbers: it is of type str",
    )


def test_a_missing_column_is_explained_by_a_near_name(orders):
    found = problems(orders.rename(columns={"customer_id": "custmer_id"}), "transactions")
    assert found == ("column 'customer_id' is missing from the table (did you mean 'custmer_id'?)",)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("date", pd.to_datetime(["2024-01-01", "1899-12-30", "2024-01-01"]), "is before 1900"),
        ("date", ["2024-01-01"] * 3, "is not dates without a time zone"),
        ("date", pd.date_range("2024-01-01", periods=3, tz="UTC"), "is not dates without a time zone"),
        ("customer_id", [1.0, 2.0, 3.0], "is not text or whole numbers"),
        ("amount", [True, False, True], "is not numbers"),
        ("channel", [1, 2, 3], "is not text"),
    ],
)
def test_each_rule_speaks(orders, column, values, said):
    (problem,) = problems(orders.assign(**{column: values}), "transactions")
    assert problem.startswith(f"column {column!r} {said}")


@pytest.mark.parametrize(
    ("kind", "key"), [("customers", "customer_id"), ("products", "product_id"), ("campaigns", "campaign_id")]
)
def test_keys_are_unique(kind, key):
    assert problems(pd.DataFrame({key: [7, 7, 8]}), kind) == (
        f"column {key!r} has repeated values in 2 of 3 rows (first: row 0: 7, row 1: 7)",
    )
    check_table(pd.DataFrame({key: [7, 8]}), kind)


@pytest.mark.parametrize("kind", ["contacts", "responses"])
def test_links_may_repeat(kind):
    check_table(pd.DataFrame({"campaign_id": [1, 1], "customer_id": ["A", "A"]}), kind)


def test_unknown_kind_and_no_frame(orders):
    with pytest.raises(ContractError, match="kind must be one of transactions, customers"):
        check_table(orders, "orders")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="a DataFrame is needed, not list"):
        check_table([1, 2], "transactions")  # type: ignore[arg-type]


def test_the_schemas_are_pandera_schemas_of_the_same_fields():
    from pandera.pandas import DataFrameSchema

    for kind, fields in FIELDS.items():
        schema = getattr(contracts, kind.upper())
        assert isinstance(schema, DataFrameSchema)
        assert list(schema.columns) == [field.name for field in fields]
    with pytest.raises(AttributeError, match="NONSENSE"):
        _ = contracts.NONSENSE


def test_require_columns():
    frame = pd.DataFrame({"customer_id": [], "Date": []})
    require_columns(frame, ["customer_id"], "rfm")
    with pytest.raises(ContractError) as caught:
        require_columns(frame, ["date", "amount"], "rfm")
    assert str(caught.value).startswith("rfm needs columns that the table lacks; it has: 'customer_id', 'Date'")
    assert caught.value.problems == ("'date' (did you mean 'Date'?)", "'amount'")
    with pytest.raises(ContractError, match="it has: no columns"):
        require_columns(pd.DataFrame(), ["date"], "rfm")


def test_suggest():
    assert suggest("amout", ["amount", "date"]) == " (did you mean 'amount'?)"
    assert suggest("zzz", ["amount", "date"]) == ""


def test_importing_the_contracts_does_not_load_pandera():
    heavy = "pandera pooch openpyxl yaml pyarrow.csv"
    code = f"import sys, crmlab.contracts, crmlab.datasets; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_summary_whose_index_repeats_keeps_its_rows():
    frame = pd.DataFrame({"frequency": [1, 2, 0], "recency": [3.0, 4.0, 0.0], "T": 9.0}, index=[0, 0, 1])
    checked = check_summary(frame, ["frequency", "recency", "T"])
    assert checked["frequency"].tolist() == [1, 2, 0]
    assert checked.index.tolist() == [0, 0, 1]


GOOD = [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([], "same length, got a 3, b 0"),
        ([1.0, 2.0], "same length, got a 3, b 2"),
        (7.0, "one value per row in b, got one float"),
        ("abc", "one value per row in b, got one str"),
        (None, "one value per row in b, got one NoneType"),
        ({"x": 1}, "one value per row in b, got one dict"),
        ((x for x in GOOD), "one value per row in b, got one generator"),
        (np.ones((3, 2)), "one value per row in b, got shape (3, 2)"),
        ([[1], [2, 3], [4]], "one value per row in b, got shape (3, -1)"),
        (pd.DataFrame({"x": GOOD}), "one value per row in b, got shape (3, 1)"),
        (["1", "2", "3"], "b: no numbers but str (first: '1', '2', '3'); convert it first"),
        ([1, "x", 2.0], "b: no numbers but object (first: 1, 'x', 2.0)"),
        ([True, None, False], "b: no numbers but object"),
        (pd.Categorical([0, 1, 1]), "b: no numbers but category"),
        (pd.date_range("2024-01-01", periods=3), "b: no numbers but datetime64"),
        (np.array([1j, 2, 3]), "b: no numbers but complex128"),
        ([1.0, np.nan, np.inf], "b: not a finite number in 2 rows (first: 2, 3)"),
        (pd.array([1, None, 3], dtype="Int64"), "b: not a finite number in 1 rows (first: 2)"),
    ],
)
def test_columns_that_are_no_numbers_about_the_same_rows(column, said):
    with pytest.raises(ContractError) as caught:
        aligned("a sum", a=GOOD, b=column)
    assert said in str(caught.value)


def test_aligned_keeps_the_index_and_refuses_another():
    one = pd.Series(GOOD, index=["x", "x", "y"])
    found = aligned("a sum", a=[True, False, True], b=one, c=pd.array([1, 2, 3], dtype="Int64"))
    assert found.index.tolist() == ["x", "x", "y"]
    assert (found.dtypes == "float64").all()
    assert found.to_numpy().tolist() == [[1, 0.5, 1], [0, 1.5, 2], [1, 2.5, 3]]
    with pytest.raises(ContractError, match="the same index on a and b"):
        aligned("a sum", a=one, b=one.sort_index(ascending=False))
    with pytest.raises(ContractError, match="no row: a and b are empty"):
        aligned("a sum", a=[], b=pd.Series([], dtype=float))


def test_tables_are_aligned_by_rows():
    table = pd.DataFrame({"p": GOOD, "q": ["a", "b", "c"]}, index=[5, 6, 7])
    check_aligned("a fit", table, y=GOOD)
    with pytest.raises(ContractError, match="the same index on y and table 1"):
        check_aligned("a fit", table, y=pd.Series(GOOD))
    with pytest.raises(ContractError, match="got y 2, table 1 3"):
        check_aligned("a fit", table, y=GOOD[:2])
    with pytest.raises(ContractError, match="the same index on table 1 and table 2"):
        check_aligned("a fit", table, table.reset_index())
    with pytest.raises(ContractError, match="a DataFrame, not ndarray"):
        check_aligned("a fit", np.ones((3, 2)), y=GOOD)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="a fit needs a table, not list"):
        require_columns([], ["y"], "a fit")
