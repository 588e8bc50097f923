"""Which column is which: told or found by its own name, never guessed."""

import pytest

from crmlab.datasets.mapping import map_columns
from crmlab.errors import ContractError


def refusal(found, told):
    with pytest.raises(ContractError) as caught:
        map_columns(found, told)
    return caught.value


def test_own_names_need_no_mapping():
    mapping, notes = map_columns(["date", "amount", "customer_id", "colour"], {})
    assert mapping == {"customer_id": "customer_id", "date": "date", "amount": "amount"}
    assert notes == ()


def test_case_spaces_and_underscores_do_not_matter_but_are_noted():
    mapping, notes = map_columns(["Customer ID", "DATE", "amount", "Product-Id"], {})
    assert mapping == {"customer_id": "Customer ID", "date": "DATE", "amount": "amount", "product_id": "Product-Id"}
    assert notes == (
        "column 'Customer ID' was taken for customer_id",
        "column 'DATE' was taken for date",
        "column 'Product-Id' was taken for product_id",
    )


def test_two_candidates_are_a_question():
    assert "several columns could be 'date': 'Date', 'DATE'" in str(
        refusal(["customer_id", "Date", "DATE", "amount"], {})
    )


def test_what_is_told_goes_first_and_is_not_taken_twice():
    mapping, _ = map_columns(
        ["customer_id", "Buyer", "date", "amount"], {"customer_id": "Buyer", "order_id": "customer_id"}
    )
    assert mapping["customer_id"] == "Buyer"
    assert mapping["order_id"] == "customer_id"


def test_everything_wrong_with_a_mapping_is_said_at_once():
    error = refusal(
        ["Client", "Day", "Total"],
        {"custmer_id": "Client", "date": "Dya", "amount": "Total", "unit_price": "Total"},
    )
    assert str(error).startswith("columns= does not fit the table, which has: 'Client', 'Day', 'Total'")
    assert error.problems == (
        "there is no contract column 'custmer_id' (did you mean 'customer_id'?)",
        "'date': the table has no column 'Dya' (did you mean 'Day'?)",
        "column 'Total' is given for several contract columns",
        "give either 'amount' or 'unit_price' with 'quantity', not both",
    )


def test_missing_columns_come_with_a_proposal():
    assert str(refusal(["Client", "OrderDate", "Total", "note"], {})) == (
        "the table lacks customer_id, date, amount; it has: 'Client', 'OrderDate', 'Total', 'note'. Say which columns "
        "they are, perhaps columns={'customer_id': 'Client', 'date': 'OrderDate', 'amount': 'Total'}; "
        "instead of an amount, unit_price and quantity will do"
    )
    assert "columns={'customer_id': '客户编号', 'date': '日期', 'amount': '金额'}" in str(
        refusal(["客户编号", "日期", "金额"], {})
    )
    assert "Say which columns they are: columns={'customer_id': ...}" in str(refusal(["a", "b"], {}))

    assert str(refusal(["amount", "Client", "date"], {})).endswith("perhaps columns={'customer_id': 'Client'}")


def test_a_file_without_a_header_is_recognised():
    assert "the first row looks like data" in str(refusal(["00004", "19970101", "29.33"], {}))
    assert "looks like data" not in str(refusal(["Client", "19970101"], {}))


def test_price_and_quantity_stand_in_for_an_amount():
    found = ["customer_id", "date", "Price", "Quantity", "amount"]
    mapping, _ = map_columns(found, {"unit_price": "Price"})
    assert "amount" not in mapping
    assert mapping["quantity"] == "Quantity"
    own, _ = map_columns(["customer_id", "date", "unit_price", "quantity"], {})
    assert own["unit_price"] == "unit_price"
    both, _ = map_columns(["customer_id", "date", "unit_price", "quantity", "amount"], {})
    assert "unit_price" not in both
    assert "lacks amount" in str(refusal(["customer_id", "date", "Price"], {"unit_price": "Price"}))
