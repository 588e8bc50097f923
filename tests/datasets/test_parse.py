"""Text into numbers, dates and identifiers: what is read, what is refused, what is never guessed."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmlab.datasets.parse import parse_dates, parse_ids, parse_numbers
from crmlab.errors import ContractError

OPEN = "since no value of the column shows which its decimal mark is"


def column(*values: object, name: str = "x") -> pd.Series:
    return pd.Series(list(values), name=name, dtype="str" if all(isinstance(v, str) for v in values) else None)


def number(text: str) -> float | None:
    value = parse_numbers(column(text)).column[0]
    return None if np.isnan(value) else value


def day(text: str, order: str | None = None) -> pd.Timestamp:
    return parse_dates(column(text), order)[0].column[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("12.5", 12.5), ("-3", -3), ("+3", 3), (".5", 0.5), ("5.", 5), ("1e3", 1000), (" 7 ", 7),
        ("$1,234.50", 1234.5), ("€1.234,50", 1234.5), ("1.234,50 €", 1234.5), ("1.234.567", 1234567),
        ("1,234,567", 1234567), ("12,34,567.00", 1234567), ("1 234,5", 1234.5), ("1\u202f234,50", 1234.5),
        ("1'234.50", 1234.5), ("1’234.50", 1234.5), ("(12.00)", -12), ("($12.00)", -12), ("12.00-", -12),
        ("−7", -7), ("-$5", -5), ("$-5", -5), ("5,-", 5), ("£5", 5), ("¥1,200", 1200), ("￥１２", 12), ("12元", 12),
        ("12.50 kr.", 12.5), ("CHF 12.50", 12.5), ("usd 3", 3), ("R$ 10,00", 10), ("0.125", 0.125), ("0,125", 0.125),
        ("$.50", 0.5), ("€,50", 0.5), ("Fr. .5", 0.5),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text, value):
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "12 apples",
        "1.2.3",
        "1,23,4",
        "1.234,567,8",
        "12%",
        "--5",
        "-5-",
        "(-5)",
        "(5",
        "5)",
        "$",
        "1 2",
        "0x10",
        "1_000",
        "1,234.5,6",
        "1.50.00",
        "٫",
    ],
)
def test_what_is_no_number_is_refused(text):
    parsed = parse_numbers(column(text, "1"))
    assert parsed.reasons.tolist() == ["is not a number", ""]
    assert np.isnan(parsed.column[0])


def test_numbers_that_are_numbers_pass():
    parsed = parse_numbers(pd.Series([1, 2, 3]))
    assert parsed.column.dtype == "float64"
    assert parsed.notes == ()
    assert parse_numbers(pd.Series([True, False])).reasons.tolist() == ["is not a number"] * 2


def test_infinity_is_read_so_that_the_contract_can_refuse_it():
    assert parse_numbers(column("inf", "-Infinity")).column.tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("gap", ["", "  ", "NA", "n/a", "NULL", "None", "nan", "#N/A", "<NA>", "NaT"])
def test_gaps_are_gaps(gap):
    numbers, ids = parse_numbers(column(gap, "1")), parse_ids(column(gap, "1"))
    dates, _ = parse_dates(column(gap, "2024-01-01"))
    for parsed in (numbers, ids, dates):
        assert parsed.column.isna().tolist() == [True, False]
        assert parsed.reasons.tolist() == ["", ""]


@pytest.mark.parametrize(
    ("texts", "values", "notes"),
    [
        (["1,234", "2,5"], [1.234, 2.5], ["'x' has decimal commas"]),
        (["1,234", "2.5"], [1234, 2.5], []),
        (["1.234", "2,5"], [1234, 2.5], ["'x' has decimal commas"]),
        (["1.234", "5"], [1.234, 5], [f"'x': '1.234' was read as 1.234, {OPEN}"]),
        (["1,234", "5"], [1234, 5], [f"'x': '1,234' was read as 1234, {OPEN}"]),
        (["$5", "€6", "7"], [5, 6, 7], ["'x' has several currencies ($, €); nothing was converted"]),
    ],
)  # fmt: skip
def test_the_decimal_mark_is_decided_for_the_column(texts, values, notes):
    parsed = parse_numbers(column(*texts))
    assert parsed.column.tolist() == pytest.approx(values)
    assert list(parsed.notes) == notes


def test_a_column_that_contradicts_itself_refuses_what_is_open():
    parsed = parse_numbers(column("1,234.50", "1.234,50", "1,234", "7"))
    assert parsed.column.tolist() == pytest.approx([1234.5, 1234.5, np.nan, 7], nan_ok=True)
    assert parsed.reasons[2] == "could have a decimal comma or a decimal point"
    assert parsed.notes == ("'x' mixes decimal commas and decimal points",)


@given(
    st.integers(-(10**11), 10**11),
    st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", ".")]),
    st.sampled_from(["", "$", "€ ", "USD "]),
)
def test_law_formatted_money_reads_back(cents, marks, currency):
    group, decimal = marks
    digits = f"{abs(cents) // 100:,}.{abs(cents) % 100:02d}".replace(",", "g").replace(".", decimal).replace("g", group)
    text = f"{'-' if cents < 0 else ''}{currency}{digits}"
    assert number(text) == pytest.approx(cents / 100, rel=1e-12)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_law_repr_of_a_float_reads_back(value):
    assert number(repr(value)) == value


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-29", "2024-02-29"), ("2024/2/9", "2024-02-09"), ("2024.02.29", "2024-02-29"),
        ("20240229", "2024-02-29"),
        ("2024年2月9日", "2024-02-09"), ("29 Feb 2024", "2024-02-29"), ("29-Feb-2024", "2024-02-29"),
        ("February 29, 2024", "2024-02-29"), ("Feb. 9 2024", "2024-02-09"),
        ("2024-02-29T13:14:15", "2024-02-29 13:14:15"),
        ("2024-02-29 13:14", "2024-02-29 13:14"), ("2024-02-29 13:14:15.123456789", "2024-02-29 13:14:15.123456"),
        ("2024-02-29 1:05 pm", "2024-02-29 13:05"), ("2024-02-29 12:05 AM", "2024-02-29 00:05"),
        ("31/12/2024 23:59", "2024-12-31 23:59"), ("12/31/2024", "2024-12-31"), ("05/05/2024", "2024-05-05"),
    ],
)  # fmt: skip
def test_dates_as_people_write_them(text, moment):
    assert day(text) == pd.Timestamp(moment)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2024-13-01",
        "yesterday",
        "2024",
        "2024-05",
        "45321",
        "2024-01-01 25:00",
        "2024-01-01 13:00 pm",
        "2024-01-01 0:30 am",
        "3 Foo 2024",
        "1/2",
        "2024-01/05",
    ],
)
def test_what_is_no_date_is_refused(text):
    parsed, _ = parse_dates(column(text, "2024-01-01"))
    assert parsed.reasons.tolist() == ["is not a date", ""]
    assert parsed.column.isna().tolist() == [True, False]


@pytest.mark.parametrize(("order", "moment"), [("DMY", "2024-04-03"), ("MDY", "2024-03-04")])
def test_the_order_told_is_the_order_taken(order, moment):
    parsed, used = parse_dates(column("03/04/2024"), order)
    assert parsed.column[0] == pd.Timestamp(moment)
    assert used == order


def test_year_first_with_two_digits_only_when_told():
    assert day("24-03-05", "YMD") == pd.Timestamp("2024-03-05")
    with pytest.raises(ContractError, match="day/month/year or year/month/day"):
        day("24-03-05")


def test_two_digit_years_are_noted():
    parsed, used = parse_dates(column("31.12.99", "30.12.24"))
    assert parsed.column.tolist() == [pd.Timestamp("1999-12-31"), pd.Timestamp("2024-12-30")]
    assert parsed.notes == ("'x' has years of two digits; they were read as 1969 to 2068",)
    assert used == "DMY"


def test_one_date_settles_the_order_for_all():
    parsed, used = parse_dates(column("03/04/2024", "13/04/2024", "2024-01-02"))
    assert [d.month for d in parsed.column] == [4, 4, 1]
    assert used == "DMY"


def test_an_open_order_is_asked_for():
    with pytest.raises(ContractError) as caught:
        parse_dates(column("03/04/2024", "05/06/2024", name="Day"))
    assert str(caught.value) == (
        "the dates of 'Day' can be read as day/month/year or month/day/year, '03/04/2024' for one; "
        "state date_order='DMY', 'MDY' or 'YMD' (in a chapter, among columns: date_order=DMY)"
    )


def test_mixed_orders_are_never_mended():
    mixed = column("03/14/2024", "14/03/2024", "01/02/2024", name="Day")
    with pytest.raises(
        ContractError,
        match=r"written in more than one order \('14/03/2024', '01/02/2024', '03/14/2024'\)|more than one order",
    ) as caught:
        parse_dates(mixed)
    assert "of 3 different dates day/month/year fits 2, month/day/year fits 2, year/month/day fits 0" in str(
        caught.value
    )
    parsed, _ = parse_dates(mixed, "MDY")
    assert parsed.reasons.tolist() == ["", "is not a date in the order month/day/year", ""]


@given(
    st.lists(st.dates(date(1969, 1, 1), date(2068, 12, 31)), min_size=1, max_size=20),
    st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%m-%d-%y", "%Y-%m-%d"]),
)
def test_law_dates_are_read_right_or_the_order_is_asked_for(days, form):
    orders = {"%d/%m/%Y": "DMY", "%m/%d/%Y": "MDY", "%d.%m.%y": "DMY", "%m-%d-%y": "MDY", "%Y-%m-%d": None}
    texts = column(*[d.strftime(form) for d in days])
    told, _ = parse_dates(texts, orders[form])  # type: ignore[arg-type]
    assert told.column.dt.date.tolist() == days
    try:
        found = parse_dates(texts)[0].column.dt.date.tolist()
    except ContractError:
        found = days if form != "%Y-%m-%d" else []  # asking is right wherever the order can matter
    assert found == days or "y" in form


def test_time_zones():
    stamps = column(
        "2024-03-30T23:30:00+01:00", "2024-03-31T23:30:00+0200", "2024-07-01 00:00:00Z", "2024-07-01T10:00-05"
    )
    kept, _ = parse_dates(stamps)
    assert kept.column.astype(str).tolist() == [
        "2024-03-30 23:30:00",
        "2024-03-31 23:30:00",
        "2024-07-01 00:00:00",
        "2024-07-01 10:00:00",
    ]
    assert kept.notes == ("'x' has time zones; the local time as written was kept",)
    moved, _ = parse_dates(stamps, time_zone="Asia/Shanghai")
    assert moved.column.astype(str).tolist() == [
        "2024-03-31 06:30:00",
        "2024-04-01 05:30:00",
        "2024-07-01 08:00:00",
        "2024-07-01 23:00:00",
    ]
    assert moved.notes == ("'x' has time zones; they were converted to Asia/Shanghai",)
    with pytest.raises(ContractError, match="no time zone 'Mars'"):
        parse_dates(stamps, time_zone="Mars")
    edge, _ = parse_dates(column("0001-01-01T00:00+05"), time_zone="Asia/Shanghai")
    assert edge.column[0].year == 1


def test_stamps_keep_or_change_their_zone():
    stamps = pd.Series(pd.to_datetime(["2024-01-01 23:30"]).tz_localize("Europe/Paris"), name="d")
    kept, used = parse_dates(stamps)
    assert (kept.column[0], kept.column.dtype, used) == (pd.Timestamp("2024-01-01 23:30"), "datetime64[us]", "")
    moved, _ = parse_dates(stamps, time_zone="UTC")
    assert moved.column[0] == pd.Timestamp("2024-01-01 22:30")
    plain, _ = parse_dates(pd.Series(pd.to_datetime(["2024-01-01"])).astype("datetime64[ns]"))
    assert plain.column.dtype == "datetime64[us]"
    assert plain.notes == ()


@pytest.mark.parametrize(
    "values", [[19970131, 19970201], [19970131.0, None, 19970201.0], [date(1997, 1, 31), date(1997, 2, 1)]]
)
def test_dates_as_whole_numbers_and_as_objects(values):
    parsed, _ = parse_dates(pd.Series(values))
    assert parsed.column.dropna().tolist() == [pd.Timestamp("1997-01-31"), pd.Timestamp("1997-02-01")]


def test_identifiers_are_kept_as_given():
    assert parse_ids(column("007", " x1 ", "98765432109876543210")).column.tolist() == [
        "007",
        "x1",
        "98765432109876543210",
    ]
    whole = pd.Series([7, 2**62], dtype="int64")
    assert parse_ids(whole).column.tolist() == [7, 2**62]


def test_identifiers_from_a_spreadsheet():
    assert parse_ids(pd.Series([1, None, 3], dtype=object)).column.tolist() == [1, pd.NA, 3]
    assert parse_ids(pd.Series([1, "x"], dtype=object)).column.tolist() == ["1", "x"]
    assert parse_ids(pd.Series([1, 2**70], dtype=object)).column.tolist() == ["1", str(2**70)]
    parsed = parse_ids(column("13085.0", "", "13086.0"))
    assert parsed.column.tolist()[::2] == ["13085", "13086"]
    assert parsed.notes == ("'x' was written with a decimal part (like 13085.0); the '.0' was taken off",)
    assert parse_ids(column("13085.0", "13086")).column.tolist() == ["13085.0", "13086"]


def test_float_identifiers_become_whole_again_or_are_refused():
    parsed = parse_ids(pd.Series([12346.0, np.nan, 2.5, 2.0**53], name="id"))
    assert parsed.column.dtype == "Int64"
    assert parsed.column[0] == 12346
    assert parsed.reasons.tolist() == ["", "", "is not an exact whole number", "is not an exact whole number"]
    assert parsed.notes == ("'id' held floats; they were turned back into whole numbers",)
