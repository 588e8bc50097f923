"""How each data set on the shelf is read from its files and brought under contract."""

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from crmlab.datasets.cards import sha256_of
from crmlab.datasets.reading import Reading, read_transactions
from crmlab.errors import DataUnavailableError

#: Table name to a function that reads the table.
Readers = Mapping[str, Callable[[], pd.DataFrame]]

#: The firm of ``load("company")``: its customers, and its seed when none is given.
COMPANY_CUSTOMERS, COMPANY_SEED = 3_000, 2024

#: The product type of every fuel line; their quantities are not pieces.
FUEL = "GASOLINE-REG UNLEADED"


def cdnow(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """The full cohort: one file with a header line, columns separated by spaces."""
    return {"transactions": lambda: _cdnow_table(paths[0], skip=1, ids=["customer_id"])}


def cdnow_sample(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """The 1/10 sample: no header line, the master file's identifier first."""
    return {"transactions": lambda: _cdnow_table(paths[0], skip=0, ids=["master_id", "customer_id"])}


def _cdnow_table(path: Path, *, skip: int, ids: list[str]) -> pd.DataFrame:
    names = [*ids, "date", "quantity", "amount"]
    raw = pd.read_csv(path, sep=r"\s+", header=None, skiprows=skip, names=names, dtype={"date": "str"})
    raw["date"] = pd.to_datetime(raw["date"], format="%Y%m%d").astype("datetime64[us]")
    return raw[["customer_id", "date", "amount", "quantity", *ids[:-1]]]


def donations(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Counts of donors by frequency and recency over six yearly occasions."""
    names = {"periods": "T", "weights": "weight"}
    return {"counts": lambda: pd.read_csv(paths[0]).rename(columns=names)}


def complete_journey(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Seven linked tables of a grocer, read from Parquet files named after them."""
    file = {path.stem: path for path in paths}
    household = {"household_id": "customer_id"}
    coupon = {"coupon_upc": "coupon_id"}

    def transactions() -> pd.DataFrame:
        names = {"transaction_timestamp": "date", "sales_value": "amount", "basket_id": "order_id"}
        lines = _parquet(file["transactions"], household | names)
        products = pd.read_parquet(file["products"], columns=["product_id", "product_type"])
        fuel = products.loc[products["product_type"] == FUEL, "product_id"]
        first = ["customer_id", "date", "amount", "order_id", "product_id", "quantity"]
        return lines[first + [c for c in lines if c not in first]].assign(is_fuel=lines["product_id"].isin(fuel))

    return {
        "transactions": transactions,
        "customers": lambda: _parquet(file["demographics"], household),
        "products": lambda: _parquet(file["products"], {"product_category": "category"}),
        "campaigns": lambda: _parquet(file["campaign_descriptions"], {}),
        "contacts": lambda: _parquet(file["campaigns"], household),
        "responses": lambda: _parquet(file["coupon_redemptions"], household | coupon | {"redemption_date": "date"}),
        "coupons": lambda: _parquet(file["coupons"], coupon),
    }


def _parquet(path: Path, names: Mapping[str, str]) -> pd.DataFrame:
    table = pd.read_parquet(path).rename(columns=names)
    dates = table.select_dtypes("datetime").columns
    return table.astype(dict.fromkeys(dates, "datetime64[us]"))


def typed_in(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """A small table typed in from print, named as its file."""
    return {paths[0].stem: lambda: pd.read_csv(paths[0])}


def company(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """What a simulated grocer can see; `crmlab.datasets.company` has the truth, other scenarios and any size."""
    from crmlab.datasets.company import simulate  # its libraries are loaded for this data set alone

    firm = simulate(COMPANY_CUSTOMERS, seed=COMPANY_SEED if seed is None else seed)
    return {name: lambda name=name: firm[name] for name in firm.tables}  # type: ignore[misc]


def online_retail_ii(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Two years of invoices, one Excel sheet a year; converted to Parquet in the cache once."""

    @cache
    def reading() -> Reading:
        names = {"customer_id": "Customer ID", "date": "InvoiceDate", "order_id": "Invoice", "product_id": "StockCode"}
        return read_transactions(
            pd.read_parquet(_converted(paths[0])), names | {"quantity": "Quantity", "unit_price": "Price"}
        )

    def rejects() -> pd.DataFrame:
        twice = reading().data.query("in_both_sheets").assign(reason="the invoice is in the first sheet too")
        return pd.concat([reading().rejects, twice], ignore_index=True)

    def transactions() -> pd.DataFrame:
        once = reading().data.query("not in_both_sheets")
        return once.drop(columns="in_both_sheets").reset_index(drop=True)

    return {"transactions": transactions, "rejects": rejects}


def _converted(archive: Path) -> Path:
    """The workbook in the archive as Parquet, named after the archive's checksum."""
    parquet = archive.with_name(f"{archive.stem}-{sha256_of(archive)[:12]}.parquet")
    if not parquet.is_file():
        unfinished = parquet.with_suffix(f".{os.getpid()}.tmp")
        _workbook(archive).to_parquet(unfinished)
        unfinished.replace(parquet)
    return parquet


def _workbook(archive: Path) -> pd.DataFrame:
    """All sheets of the workbook, one below the other; the years overlap by some days, which is marked."""
    text = dict.fromkeys(["Invoice", "StockCode", "Description", "Country"], "str")
    try:
        with zipfile.ZipFile(archive) as members:
            name = next((name for name in members.namelist() if name.endswith(".xlsx")), "a workbook")
            first, *later = pd.read_excel(io.BytesIO(members.read(name)), sheet_name=None, dtype=text).values()
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        message = f"{archive} is not the expected archive ({error}); delete it and load again"
        raise DataUnavailableError(message) from None
    marked = [sheet.assign(in_both_sheets=sheet["Invoice"].isin(first["Invoice"])) for sheet in later]
    return pd.concat([first.assign(in_both_sheets=False), *marked], ignore_index=True)


SHELF: Mapping[str, Callable[[tuple[Path, ...], int | None], Readers]] = {
    "billboards": typed_in,
    "cdnow": cdnow,
    "cdnow_sample": cdnow_sample,
    "champagne": typed_in,
    "company": company,
    "complete_journey": complete_journey,
    "contract_cohorts": typed_in,
    "cruises": typed_in,
    "donations": donations,
    "hard_candy": typed_in,
    "online_retail_ii": online_retail_ii,
    "retention_segments": typed_in,
}
