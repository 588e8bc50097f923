"""Engines, logs and published numbers for the tests of the customer database."""

from collections.abc import Callable, Iterator

import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest

from crmlab.database import CustomerDB
from crmlab.database.frames import as_arrow
from crmlab.datasets import load
from crmlab.resources import course_dir, package_file


@pytest.fixture(params=["duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Callable[..., ir.Table]]:
    """Puts a frame into a table of each engine that expressions must run on."""
    connection = {"duckdb": ibis.duckdb.connect}[request.param]()
    yield lambda frame, name="log": connection.create_table(name, obj=as_arrow(frame), overwrite=True)
    connection.disconnect()


@pytest.fixture(scope="session")
def sample() -> pd.DataFrame:
    """CDNOW, one tenth: 6,919 rows of 2,357 customers."""
    return load("cdnow_sample").transactions


@pytest.fixture(scope="session")
def cdnow() -> pd.DataFrame:
    """CDNOW, the full cohort: 69,659 rows of 23,570 customers."""
    return load("cdnow").transactions


@pytest.fixture(scope="session")
def published() -> Callable[[str], float]:
    """Published number by its id; never typed into a test."""
    table = pd.read_csv(course_dir("datasets") / "published" / "published.csv", index_col="id")["value"]
    return lambda number: float(table[number])


@pytest.fixture(scope="session")
def published_summary() -> pd.DataFrame:
    """The published summary of the CDNOW sample: ID, x, t_x, T in weeks, zbar; rounded to two digits."""
    return pd.read_csv(package_file("lifetimes", "datasets", "cdnow_customers_summary_with_transactions.csv"))


@pytest.fixture
def shop() -> dict[str, pd.DataFrame]:
    """A shop small enough to count on one's fingers, with every table of the database."""
    return {
        "transactions": pd.DataFrame(
            {
                "customer_id": ["ann", "ann", "ann", "bob", "bob", "ann"],
                "date": pd.to_datetime(["2024-01-05 10:00"] * 3 + ["2024-01-06 09:00"] * 2 + ["2024-02-01 18:30"]),
                "amount": [10.0, 10.0, 5.0, 30.0, -3.0, 7.5],
                "order_id": [1, 1, 1, 2, 2, 3],
                "product_id": ["tea", "tea", "jam", "pot", "cup", "tea"],
                "quantity": [1.0, 1.0, 1.0, 1.0, 1.0, 2.0],
                "channel": ["web"] * 3 + ["store"] * 2 + ["web"],
                "store_no": [7, 7, 7, 8, 8, 7],
            }
        ),
        "customers": pd.DataFrame({"customer_id": ["ann", "cy"], "city": ["Lyon", "Rome"]}),
        "products": pd.DataFrame({"product_id": ["tea", "jam", "pot"], "name": ["Tea", "Jam", "Pot"]}),
        "campaigns": pd.DataFrame({"campaign_id": [1], "start_date": pd.to_datetime(["2024-01-20"])}),
        "contacts": pd.DataFrame({"campaign_id": [1, 1], "customer_id": ["ann", "bob"]}),
        "responses": pd.DataFrame(
            {"campaign_id": [1, 1], "customer_id": ["ann", "ann"], "date": pd.to_datetime(["2024-02-01"] * 2)}
        ),
    }


@pytest.fixture
def db(shop: dict[str, pd.DataFrame]) -> Iterator[CustomerDB]:
    """The shop in a database in memory."""
    with CustomerDB.open() as database:
        database.load(shop)
        yield database
