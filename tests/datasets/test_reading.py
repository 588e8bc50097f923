"""A user's own file: every row is accepted, or rejected with its reason; a file that is no table is refused."""

import gzip

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmlab.contracts import check_table
from crmlab.datasets import Reading, load, read_transactions
from crmlab.errors import ContractError, DataUnavailableError

HEAD = "customer_id,date,amount\n"
GOOD = HEAD + "007,2024-01-31,10.50\nB,2024-02-29,7\n"


@pytest.fixture
def write(tmp_path):
    def write_file(content: str | bytes, name: str = "shop.csv", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write_file


def accounted(reading: Reading) -> Reading:
    """The laws of every reading, checked on this one."""
    report, data, rejects = reading.report, reading.data, reading.rejects
    assert len(data) + len(rejects) == report.accepted + report.rejected == report.rows_read
    assert list(data.index) == list(range(len(data)))
    assert rejects["row"].is_unique
    assert rejects["row"].between(1, report.rows_read).all()
    assert (rejects["reason"] != "").all()
    counts = rejects["reason"].str.split("; ").explode().value_counts()
    assert counts.to_dict() == report.reasons
    check_table(data, "transactions")
    return reading


def refusal(source, **options) -> str:
    with pytest.raises(ContractError) as caught:
        read_transactions(source, **options)
    return str(caught.value)


def test_a_good_file(write):
    reading = accounted(read_transactions(write(GOOD)))
    assert reading.data.to_dict("list") == {
        "customer_id": ["007", "B"],
        "date": [pd.Timestamp("2024-01-31"), pd.Timestamp("2024-02-29")],
        "amount": [10.5, 7.0],
    }
    assert reading.rejects.empty
    assert repr(reading) == (
        "shop: 2 rows read, 2 accepted, 0 rejected\n  read with encoding UTF-8, columns separated by comma"
    )


def test_further_columns_stay_as_they_are(write):
    text = "colour,amount,date,customer_id,quantity,channel\nred,1,2024-01-01,A,2,web\n007,2,2024-01-02,B,,\n"
    data = accounted(read_transactions(write(text))).data
    assert list(data.columns) == ["customer_id", "date", "amount", "quantity", "channel", "colour"]
    assert data["colour"].tolist() == ["red", "007"]
    assert data["quantity"].isna().tolist() == [False, True]


def test_names_that_clash_step_aside(write):
    text = "Buyer,date,Total,amount,original_amount,row,reason\nA,2024-01-01,1,9,8,x,y\n,2024-01-01,2,9,8,x,y\n"
    reading = accounted(read_transactions(write(text), {"customer_id": "Buyer", "amount": "Total"}))
    assert list(reading.data.columns) == [
        "customer_id", "date", "amount", "original_amount", "original_original_amount", "row", "reason",
    ]  # fmt: skip
    assert list(reading.rejects.columns) == [
        "row", "reason", "Buyer", "date", "Total", "amount", "original_amount", "original_row", "original_reason",
    ]  # fmt: skip
    assert reading.rejects.iloc[0].tolist() == [2, "customer_id is missing", "", "2024-01-01", "2", "9", "8", "x", "y"]


def test_all_reasons_of_all_rows(write):
    rows = [
        "A,soon,abc",
        "B,2024-02-30,1e308",
        ",2024-01-01,inf",
        "D,1899-12-30,",
        "E,2024-01-01,5",
        "NaN,2091-01-01,1",
    ]
    reading = accounted(read_transactions(write(HEAD + "\n".join(rows))))
    assert reading.rejects[["row", "reason"]].to_numpy().tolist() == [
        [1, "date is not a date; amount is not a number"],
        [2, "date is not a date; amount is beyond ±1e12"],
        [3, "customer_id is missing; amount is not finite"],
        [4, "date is before 1900; amount is missing"],
        [6, "customer_id is missing; date is in the future"],
    ]
    assert reading.report.rejections()[0] == "date is not a date in 2 rows (row 1: 'soon', row 2: '2024-02-30')"
    assert "  rejected: amount is missing in 1 row (row 4)\n" in repr(reading)
    assert reading.data["customer_id"].tolist() == ["E"]


def test_strict_stops_with_all_problems(write):
    path = write(HEAD + "A,2024-01-01,abc\nB,2024-01-01,5\n,2024-01-01,5\n")
    assert refusal(path, strict=True) == (
        "shop: 2 of 3 rows cannot be accepted\n"
        "  - amount is not a number in 1 row (row 1: 'abc')\n"
        "  - customer_id is missing in 1 row (row 3)"
    )
    assert read_transactions(write(GOOD), strict=True).report.accepted == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (b"\0" * 64, "the file is empty"),
        (HEAD, "there is a header but no row of data; columns: 'customer_id', 'date', 'amount'"),
        (
            GOOD.replace(",", "^"),
            "only one column was found, 'customer_id^date^amount'; the columns of a text file are",
        ),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "this is no table: it looks like a picture"),
        (b"%PDF-1.7 ...", "this is no table: it looks like a PDF document"),
        ("\n <!DOCTYPE html><html>", "it looks like a web page or XML; save the table itself as CSV"),
        ('[{"customer_id": 1}]', "it looks like JSON; write it as CSV or Parquet first"),
        (b"\xd0\xcf\x11\xe0rest", "an old Excel workbook (.xls); save it as .xlsx or CSV"),
        (bytes(range(256)) * 8, "this is no table: it is not text"),
        (b"PAR1 broken PAR1", "this looks like Parquet but cannot be read as such"),
        (b"PK\x03\x04 broken", "this looks like a zip archive but cannot be read as such"),
        (b"\x1f\x8b broken", "this looks like a gzip file but cannot be read as such"),
        (b"\xff\xfea", "this looks like UTF-16 text but cannot be read as such"),
        (HEAD + "x" * 200_000 + "\n", "this looks like delimited text but cannot be read as such"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) < 80 else "content",
)
def test_a_file_that_is_no_table(write, content, said):
    path = write(content)
    message = refusal(path)
    assert message.startswith(f"{path.name}: ")  # the folders that lead to it are nobody's business
    assert said in message


def test_a_zip_archive_is_not_opened(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.writestr("shop.csv", GOOD)
    assert "unpack it and give the file inside" in refusal(tmp_path / "shop.zip")


def test_no_file(tmp_path):
    with pytest.raises(
        DataUnavailableError, match=r"nope\.csv does not exist; give the path of a CSV, Excel or Parquet"
    ):
        read_transactions(tmp_path / "nope.csv")
    with pytest.raises(DataUnavailableError, match="is a folder, not a file"):
        read_transactions(tmp_path)
    assert refusal(5) == "a path, an address or a table is needed, not int"


def test_missing_columns_name_the_file(write):
    message = refusal(write("Client,Day,Total\n1,2024-01-01,3\n"))
    assert message.startswith("shop: the table lacks customer_id, date, amount; it has: 'Client', 'Day', 'Total'")


def test_unknown_options():
    assert refusal(pd.DataFrame({"a": [1]}), duplicates="drop", date_order="YDM").endswith(
        "\n  - date_order='YDM' is not one of None, 'DMY', 'MDY', 'YMD'"
        "\n  - duplicates='drop' is not one of 'keep', 'reject'"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(write, delimiter):
    reading = accounted(read_transactions(write(GOOD.replace(",", delimiter))))
    assert reading.report.accepted == 2


def test_a_semicolon_file_with_decimal_commas(write):
    reading = accounted(read_transactions(write("customer_id;date;amount\n1;2024-01-01;3,50\n2;2024-01-01;1.234,50\n")))
    assert reading.data["amount"].tolist() == [3.5, 1234.5]
    assert reading.report.delimiter == "semicolon"


def test_rows_with_too_few_or_too_many_fields_keep_their_place(write):
    text = HEAD + '1,2024-01-01,3\n\n2,2024-01-01\n3,2024-01-01,3,4,"x,y"\n4,2024-01-05,3\n'
    reading = accounted(read_transactions(write(text)))
    assert reading.data["customer_id"].tolist() == ["1", "4"]
    assert reading.rejects.to_numpy().tolist() == [
        [2, "the row has too few fields (2 for 3 columns)", "2", "2024-01-01", ""],
        [3, "the row has too many fields (5 for 3 columns)", "3", "2024-01-01", '3,4,"x,y"'],
    ]


def test_an_open_quotation_mark_swallows_nothing_unseen(write):
    reading = accounted(read_transactions(write(HEAD + '1,2024-01-01,3\n"2,2024-01-01,3\n3,2024-01-01,4\n')))
    assert reading.data["customer_id"].tolist() == ["1"]
    assert "a quotation mark may not be closed" in reading.rejects["reason"][0]
    assert "3,2024-01-01,4" in reading.rejects["amount"][0]


def test_damaged_rows_do_not_decide_for_the_others(write):
    reading = accounted(read_transactions(write(HEAD + "1,2024-01-01,1.234\n2,2024-01-01,5,50\n3,13/02/2024\n")))
    assert reading.data["amount"].tolist() == [1.234]
    assert reading.report.date_order == ""


def test_line_ends_and_a_line_that_says_the_delimiter(write):
    for text in (
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\n\n" + GOOD,
        "sep=;\r\n" + GOOD.replace(",", ";"),
    ):
        assert accounted(read_transactions(write(text))).data["customer_id"].tolist() == ["007", "B"]


def test_notes_count_only_rows_that_were_kept(write):
    reading = accounted(read_transactions(write(HEAD + ",2024-01-01,-3\n,2024-01-01,-3\nA,2024-01-01,-3\n")))
    assert reading.report.notes == ("kept: 1 of 3 rows, each a return (negative amount) (first: row 3)",)


def test_nul_bytes(write):
    reading = accounted(read_transactions(write(HEAD + "1,2024-01-01,3\n2\0,2024-01-01,3\n")))
    assert reading.rejects[["row", "reason"]].to_numpy().tolist() == [[2, "the row contains NUL bytes"]]


def test_nameless_and_repeated_columns_are_named(write):
    reading = accounted(read_transactions(write("customer_id,date,amount,amount,\n1,2024-01-01,3,4,5\n")))
    assert list(reading.data.columns)[3:] == ["amount (column 4)", "column 5"]
    assert "are called 'amount (column 4)', 'column 5'" in reading.report.notes[0]


def test_duplicates(write):
    path = write(HEAD + "1,2024-01-01,3\n2,2024-01-02,4\n" * 2)
    kept = accounted(read_transactions(path))
    assert kept.report.accepted == 4
    assert kept.report.notes == ("kept: 2 of 4 rows, each an exact copy of an earlier row (first: row 3)",)
    dropped = accounted(read_transactions(path, duplicates="reject"))
    assert dropped.report.reasons == {"the row is an exact copy of an earlier row": 2}
    assert dropped.rejects["row"].tolist() == [3, 4]


def test_returns(write):
    path = write(HEAD + "1,2024-01-01,3\n1,2024-01-02,(3.00)\n")
    kept = accounted(read_transactions(path))
    assert kept.data["amount"].tolist() == [3, -3]
    assert kept.report.notes == ("kept: 1 of 2 rows, each a return (negative amount) (first: row 2)",)
    assert accounted(read_transactions(path, returns="reject")).report.rejected == 1


def test_the_last_date_that_can_be_true(write):
    path = write(HEAD + "1,2024-01-31 23:59,3\n2,2024-02-01,3\n3,2091-01-01,3\n")
    told = accounted(read_transactions(path, latest="2024-01-31"))
    assert told.rejects["reason"].tolist() == ["date is after 2024-01-31"] * 2
    assert accounted(read_transactions(path)).rejects["reason"].tolist() == ["date is in the future"]
    assert accounted(read_transactions(path, latest=pd.Timestamp("2100-01-01"))).rejects.empty
    assert accounted(read_transactions(path, latest=pd.Timestamp("2024-01-31", tz="UTC"))).report.accepted == 1
    assert "latest is not a date: 'soon'" in refusal(path, latest="soon")
    assert "latest is not a date: NaT" in refusal(path, latest=pd.NaT)


def test_an_open_date_order_names_the_file_and_is_settled_by_telling(write):
    path = write(HEAD + "1,03/04/2024,3\n")
    assert refusal(path).startswith("shop: the dates of 'date' can be read as day/month/year or month/day/year")
    reading = accounted(read_transactions(path, date_order="DMY"))
    assert reading.data["date"].tolist() == [pd.Timestamp("2024-04-03")]
    assert "dates as DMY" in repr(reading)


def test_price_times_quantity(write):
    text = "id,date,Price,Quantity,amount\n1,20240101,2.5,2,9\n2,20240101,x,3,9\n3,20240101,3,,9\n4,20240101,2,x,9\n"
    reading = accounted(read_transactions(write(text), {"customer_id": "id", "unit_price": "Price"}))
    assert reading.data[["amount", "quantity", "unit_price", "original_amount"]].to_numpy().tolist() == [
        [5, 2, 2.5, "9"]
    ]
    assert reading.rejects["reason"].tolist() == [
        "unit_price is not a number", "amount is missing", "quantity is not a number",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "Müller 张"),
        ("utf-8-sig", "Müller 张"),
        ("utf-16", "Müller 张"),
        ("gb18030", "张伟"),
        ("latin-1", "Müller"),
        ("cp1252", "O’Neil €"),
    ],
)
def test_encodings_are_found(write, encoding, name):
    text = (
        f"customer_id,date,amount,城市\n{name},2024-01-01,3,北京\n"
        if "张" in name
        else f"customer_id,date,amount\n{name},2024-01-01,3\n"
    )
    reading = accounted(read_transactions(write(text, encoding=encoding)))
    assert reading.data["customer_id"].tolist() == [name]
    guessed = encoding in ("gb18030", "latin-1", "cp1252")
    assert any("it was read as" in note for note in reading.report.notes) == guessed


def test_bytes_beyond_windows_1252_are_latin_1(write):
    reading = read_transactions(write(GOOD.encode() + b"\xe9\x81,2024-01-01,3\n"))
    assert reading.report.encoding == "Latin-1"


def test_a_stated_encoding_is_obeyed(write):
    path = write(HEAD + "Müller,2024-01-01,3\n", encoding="latin-1")
    assert accounted(read_transactions(path, encoding="latin-1")).data["customer_id"].tolist() == ["Müller"]
    assert "line 2 is not utf-8" in refusal(path, encoding="utf-8")
    assert "there is no encoding 'klingon'" in refusal(path, encoding="klingon")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "customer_id": ["007", "B", None],
            "date": pd.to_datetime(["2024-01-31 10:00", "2024-02-29 00:00", "2024-03-01 00:00"]),
            "amount": [10.5, 7.0, 1.0],
            "order_id": [2**60, 2**60 + 1, 5],
        }
    )


def test_frame_parquet_gzip_and_arrow_give_the_same(frame, tmp_path):
    before = frame.copy(deep=True)
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    expected = accounted(read_transactions(frame)).data
    pd.testing.assert_frame_equal(frame, before)
    assert expected["order_id"].tolist() == [2**60, 2**60 + 1]
    pd.testing.assert_frame_equal(accounted(read_transactions(tmp_path / "a.parquet")).data, expected)
    zipped = accounted(read_transactions(str(tmp_path / "a.csv.gz"))).data
    assert zipped["order_id"].tolist() == [str(2**60), str(2**60 + 1)]
    pd.testing.assert_frame_equal(zipped.drop(columns="order_id"), expected.drop(columns="order_id"))

    import pyarrow as pa

    pd.testing.assert_frame_equal(accounted(read_transactions(pa.Table.from_pandas(frame))).data, expected)


def test_excel(frame, tmp_path):
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as book:
        frame.assign(order_id=[12, 13, 14]).to_excel(book, sheet_name="Orders", index=False)
        frame.to_excel(book, sheet_name="Old", index=False)
    reading = accounted(read_transactions(path))
    assert reading.data["customer_id"].tolist() == ["007", "B"]
    assert reading.data["order_id"].tolist() == [12, 13]
    assert reading.data["date"][0] == pd.Timestamp("2024-01-31 10:00")
    assert reading.report.notes[0] == "sheet 'Orders' was read; not read: 'Old'"


def test_frames_of_every_make(frame):
    odd = frame.assign(
        customer_id=pd.Categorical([7, 8, 9]),
        basket=[[1], [2, 3], [4]],
        amount=["1", "2", "3"],
        order_id=[1.0, None, 3.0],
        channel=[1, 2, 3],
    )
    data = accounted(read_transactions(odd.rename(columns={"order_id": 5}), {"order_id": "5"})).data
    assert data["customer_id"].tolist() == [7, 8, 9]
    assert data["order_id"].tolist() == [1, pd.NA, 3]
    indexed = accounted(read_transactions(frame.set_index("customer_id")))
    pd.testing.assert_frame_equal(indexed.data, read_transactions(frame).data)
    twice = pd.concat([frame, frame[["amount"]]], axis=1)
    assert "amount (column 5)" in accounted(read_transactions(twice)).data
    assert "no row of data" in refusal(frame.head(0))


def test_the_published_file_survives_a_round_trip(tmp_path):
    cdnow = load("cdnow").transactions
    cdnow.to_csv(tmp_path / "cdnow.csv", index=False)
    reading = accounted(read_transactions(tmp_path / "cdnow.csv"))
    assert reading.report.rejected == 0
    back = reading.data.astype({"customer_id": "int64", "quantity": "int64"})
    pd.testing.assert_frame_equal(back, cdnow)
    assert reading.report.notes[0].startswith("kept: 255 of 69,659 rows, each an exact copy")


CELL = st.one_of(
    st.sampled_from(
        [
            "",
            "NA",
            "1",
            "2.5",
            "1,5",
            "-3",
            "(4)",
            "inf",
            "1e308",
            "abc",
            "2024-01-31",
            "31/01/2024",
            "x\0y",
            '"',
            "007",
        ]
    ),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6),
)


TREATMENT = st.sampled_from(["keep", "reject"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELL, min_size=0, max_size=5), max_size=8), TREATMENT, TREATMENT)
def test_law_accepted_and_rejected_are_the_rows_read(tmp_path, rows, copies, returns):
    path = tmp_path / "any.csv"
    lines = ["customer_id,date,amount,order_id", *(",".join(row) for row in rows)]
    path.write_bytes("\n".join(lines).encode())
    try:
        reading = read_transactions(path, duplicates=copies, returns=returns)
    except ContractError:  # no row of data, or an open date order
        return
    accounted(reading)
    assert reading.report.rows_read <= len([line for line in lines[1:] if line])


ROW = st.tuples(
    st.sampled_from(["A", "b", "", "007"]),
    st.sampled_from(["2024-01-31", "13/02/2024", "01/02/2024", "soon"]),
    st.sampled_from(["1", "1,234", "1.234", "2,5", "2.5", "-3", "x"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_law_the_order_of_rows_does_not_change_how_they_are_read(rows):
    frame = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])

    def outcome(table):
        try:
            reading = read_transactions(table)
        except ContractError as error:
            return type(error)
        accounted(reading)
        return sorted(map(str, reading.data.itertuples(index=False))), sorted(reading.rejects["reason"])

    assert outcome(frame) == outcome(frame[::-1])


VALUE = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.datetimes(), st.dates())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE, VALUE, VALUE), min_size=1, max_size=8))
def test_law_any_frame_is_accounted_for(rows):
    frame = pd.DataFrame(rows, columns=["customer_id", "date", "amount", "quantity"])
    reading = accounted(read_transactions(frame, date_order="DMY"))
    assert reading.rejects.shape[1] == 2 + frame.shape[1]
    assert set(reading.rejects["row"] - 1) <= set(frame.index)
