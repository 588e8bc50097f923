"""Downloads against a server on this machine: complete and right, or not at all."""

import dataclasses
import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest

from crmlab.datasets import catalogue, read_transactions
from crmlab.datasets.cards import SourceFile, read_card
from crmlab.datasets.download import cached, fetch
from crmlab.errors import DataUnavailableError

CONTENT = b"customer_id,date,amount\n" + b"1,2024-01-31,5\n" * 500
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def files():
    """What the server serves: path to content, or to the content and how many bytes of it are sent."""
    return {"/good.csv": CONTENT, "/cut.csv": (CONTENT, 1000)}


@pytest.fixture
def server(files):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            entry = files.get(self.path.partition("?")[0])
            if entry is None:
                self.send_error(404)
                return
            content, sent = entry if isinstance(entry, tuple) else (entry, len(entry))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:sent])

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("CRMLAB_CACHE", str(folder))
    return folder


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_a_good_file_arrives_once(server, files, cache):
    file = SourceFile("good.csv", url=f"{server}/good.csv", sha256=SHA)
    assert fetch(file).read_bytes() == CONTENT
    assert cached(file) == cache / "good.csv"
    del files["/good.csv"]
    assert fetch(file).read_bytes() == CONTENT
    assert left_in(cache) == ["good.csv"]


@pytest.mark.parametrize(
    ("path", "sha256", "said"),
    [
        ("/good.csv", "0" * 64, "does not match the known hash"),
        ("/none.csv", SHA, "404"),
        ("/cut.csv", SHA, "ChunkedEncodingError"),
        ("/cut.csv", "", "ChunkedEncodingError"),
    ],
    ids=["corrupt", "404", "cut", "cut, checksum unknown"],
)
def test_a_bad_file_leaves_nothing_behind(server, cache, path, sha256, said):
    file = SourceFile("shop.csv", url=server + path, sha256=sha256)
    with pytest.raises(DataUnavailableError, match=said) as caught:
        fetch(file)
    assert f"fetch that file by hand on another machine and put it at {cache / 'shop.csv'}" in str(caught.value)
    assert left_in(cache) == []


def test_no_connection_says_what_to_do(cache):
    file = SourceFile("shop.csv", url="http://127.0.0.1:9/shop.csv")
    with pytest.raises(
        DataUnavailableError, match=r"http://127.0.0.1:9/shop.csv could not be fetched \(ConnectionError"
    ):
        fetch(file)
    assert left_in(cache) == []


def test_a_file_put_there_by_hand_is_taken_and_checked(cache):
    cache.mkdir()
    (cache / "good.csv").write_bytes(CONTENT)
    nowhere = "http://127.0.0.1:9/good.csv"
    assert fetch(SourceFile("good.csv", url=nowhere, sha256=SHA)).read_bytes() == CONTENT
    (cache / "good.csv").write_bytes(CONTENT[:-1])
    with pytest.raises(DataUnavailableError, match="delete it and install or download it again"):
        fetch(SourceFile("good.csv", url=nowhere, sha256=SHA))


def test_an_unknown_checksum_is_kept_at_the_first_fetch(server, cache):
    file = SourceFile("good.csv", url=f"{server}/good.csv")
    fetch(file)
    assert (cache / "good.csv.sha256").read_text().strip() == SHA
    (cache / "good.csv").write_bytes(CONTENT + b"more")
    with pytest.raises(DataUnavailableError, match=f"expected {SHA}"):
        fetch(file)


def test_after_deletion_an_unknown_checksum_is_learnt_anew(server, files, cache):
    file = SourceFile("good.csv", url=f"{server}/good.csv")
    fetch(file)
    (cache / "good.csv").unlink()
    files["/good.csv"] = b"a new edition"
    assert fetch(file).read_bytes() == b"a new edition"
    assert fetch(file).read_bytes() == b"a new edition"


def test_a_table_of_ones_own_can_be_an_address(server, cache):
    reading = read_transactions(f"{server}/good.csv?version=2")
    assert reading.report.name == "good"
    assert (reading.report.accepted, reading.report.rejected) == (500, 0)
    assert left_in(cache) == []
    with pytest.raises(DataUnavailableError, match="404"):
        read_transactions(f"{server}/none.csv")


def put_wheel(folder, content):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "shop-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("shop/good.csv", content)


def test_a_file_comes_out_of_a_wheel_put_there_by_hand(cache):
    put_wheel(cache, CONTENT)
    file = SourceFile("shop/good.csv", wheel="shop==1.0", sha256=SHA)
    assert fetch(file).read_bytes() == CONTENT
    assert left_in(cache) == ["good.csv", "shop", "shop-1.0-py3-none-any.whl"]
    with pytest.raises(DataUnavailableError, match=r"does not hold shop/other\.csv"):
        fetch(SourceFile("shop/other.csv", wheel="shop==1.0", sha256=SHA))


def test_a_wheel_with_another_file_is_not_believed(cache):
    put_wheel(cache, b"something else")
    with pytest.raises(DataUnavailableError, match=f"expected {SHA}"):
        fetch(SourceFile("shop/good.csv", wheel="shop==1.0", sha256=SHA))


def test_without_an_index_the_wheel_has_to_be_brought(cache, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    remedy = r"run on another machine: pip download --no-deps --only-binary=:all: obp==0\.4\.1, and put the file into"
    with pytest.raises(DataUnavailableError, match=remedy):
        fetch(read_card("open_bandit").files[0])
    assert left_in(cache) == []


def workbook() -> bytes:
    """Two sheets of the shape of Online Retail II; the second repeats an invoice of the first."""
    line = {"Description": "MUG", "Country": "United Kingdom"}
    first = pd.DataFrame(
        [
            {"Invoice": 489434, "StockCode": 21232, "Quantity": 12, "Price": 1.25, "Customer ID": 13085},
            {"Invoice": "C489449", "StockCode": "22087", "Quantity": -2, "Price": 2.95, "Customer ID": 16321},
            {"Invoice": 489464, "StockCode": "21733", "Quantity": -96, "Price": 0.0, "Customer ID": None},
        ]
    ).assign(InvoiceDate=pd.to_datetime(["2009-12-01 07:45", "2009-12-01 10:33", "2009-12-01 10:52"]), **line)
    second = first.head(1)
    new = second.assign(Invoice=536365, InvoiceDate=pd.Timestamp("2010-12-01 08:26"))
    book = io.BytesIO()
    with pd.ExcelWriter(book) as writer:
        first.to_excel(writer, sheet_name="Year 2009-2010", index=False)
        pd.concat([second, new]).to_excel(writer, sheet_name="Year 2010-2011", index=False)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("online_retail_II.xlsx", book.getvalue())
    return archive.getvalue()


def online_retail(server):
    return served("online_retail_ii", f"{server}/retail.zip")


def served(name, url):
    """A data set of the catalogue, its file fetched from here."""
    card = read_card(name)
    file = dataclasses.replace(card.files[0], url=url)
    return catalogue.open_card(dataclasses.replace(card, files=(file,)))


def test_online_retail_from_download_to_contract(server, files, cache):
    files["/retail.zip"] = workbook()
    shop = online_retail(server)
    rows = shop.transactions
    assert list(rows.columns) == [column.name for column in shop.card.tables[0].columns]
    assert rows["order_id"].tolist() == ["489434", "C489449", "536365"]
    assert rows["customer_id"].tolist() == [13085, 16321, 13085]
    assert rows["amount"].tolist() == pytest.approx([15.0, -5.90, 15.0])
    assert rows["product_id"].tolist() == ["21232", "22087", "21232"]
    assert rows["date"].iloc[0] == pd.Timestamp("2009-12-01 07:45")
    assert shop["rejects"]["reason"].tolist() == ["customer_id is missing", "the invoice is in the first sheet too"]
    assert shop.checksums == {"online_retail_ii.zip": hashlib.sha256(files["/retail.zip"]).hexdigest()}
    assert sum(name.endswith(".parquet") for name in left_in(cache)) == 1
    assert not [name for name in left_in(cache) if name.endswith(".tmp")]


def test_online_retail_is_converted_once(server, files, cache):
    files["/retail.zip"] = workbook()
    first = online_retail(server).transactions
    (converted,) = cache.glob("*.parquet")
    stamp = converted.stat().st_mtime_ns
    pd.testing.assert_frame_equal(online_retail(server).transactions, first)
    assert converted.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("content", [b"PK\x03\x04 broken", b""], ids=["broken", "empty"])
def test_online_retail_refuses_an_archive_that_is_none(server, files, cache, content):
    files["/retail.zip"] = content
    with pytest.raises(DataUnavailableError, match="is not the expected archive"):
        _ = online_retail(server).transactions
    assert not list(cache.glob("*.parquet"))


def test_online_retail_refuses_an_archive_without_a_workbook(server, files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("readme.txt", "nothing here")
    files["/retail.zip"] = archive.getvalue()
    with pytest.raises(DataUnavailableError, match="is not the expected archive"):
        _ = online_retail(server).transactions


def test_hillstrom_from_download_to_table(server, files):
    files["/hillstrom.csv"] = (
        b"recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend\n"
        b"10,2) $100 - $200,142.44,1,0,Surburban,0,Phone,Womens E-Mail,0,0,0\n"
    )
    test = served("hillstrom", f"{server}/hillstrom.csv")
    assert list(test["customers"].columns) == [column.name for column in test.card.tables[0].columns]
    assert test["customers"].loc[0, ["history", "segment", "visit"]].tolist() == [142.44, "Womens E-Mail", 0]


def test_donation_match_from_download_to_table(server, files):
    names = [column.name for column in read_card("donation_match").tables[0].columns]
    donors = pd.DataFrame({name: [0.0, 1.0] for name in [*names, "perbush"]})
    donors["ratio"] = pd.Categorical(["Control", "1"])
    stata = io.BytesIO()
    donors.to_stata(stata, write_index=False)
    files["/donors.dta"] = stata.getvalue()
    test = served("donation_match", f"{server}/donors.dta")
    assert list(test["donors"].columns) == names
    assert test["donors"]["ratio"].tolist() == ["Control", "1"]


@pytest.mark.parametrize(("name", "table"), [("hillstrom", "customers"), ("donation_match", "donors")])
def test_a_page_in_place_of_a_table_is_refused(server, files, name, table):
    files["/page"] = b"<html><body>This page has moved.</body></html>"
    with pytest.raises(DataUnavailableError, match=r"is not the expected file \(.*\); delete it and load again"):
        _ = served(name, f"{server}/page")[table]
