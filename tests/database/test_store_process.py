"""The database between processes: a refresh killed half-way, and several readers at once."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from crmlab.database import CustomerDB
from crmlab.errors import StoreError

ORDERS = 30_000

# A refresh that, asked to, stops for good when it enters a given function of its own.
REFRESH = """
import sys, time
import pandas as pd
from crmlab.database import CustomerDB

def stop(frame, event, argument):
    if event == "call" and frame.f_code.co_name == sys.argv[2]:
        print("stopped", flush=True)
        time.sleep(600)

log = pd.read_parquet(sys.argv[1] + ".parquet")
db = CustomerDB.open(sys.argv[1])
sys.setprofile(stop)
db.refresh({"transactions": log})
"""


def start(code: str, path: Path, *arguments: str) -> tuple[subprocess.Popen, str]:
    """Start Python on `code` and return it with the first word it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = pd.DataFrame({"customer_id": [0, 1], "date": pd.Timestamp("2024-01-01"), "amount": 1.0, "order_id": [0, 1]})
    with CustomerDB.open(tmp_path / "shop.duckdb") as db:
        db.load({"transactions": log})
    return tmp_path / "shop.duckdb"


def state(path: Path) -> tuple[int, int, float, int]:
    """Customers, orders, money and loads in the database."""
    with CustomerDB.open(path, read_only=True) as db:
        counts = (len(db.query(f"SELECT 1 FROM {table}")) for table in ("customers", "orders"))
        money = db.query("SELECT sum(amount) AS total FROM lines")["total"][0]
        return (*counts, money, int(db.query("SELECT max(load_id) AS n FROM loads")["n"][0]))


@pytest.mark.parametrize("place", ["_merge", "_record", "create_view"])
def test_a_refresh_killed_half_way_leaves_the_old_state_and_can_be_repeated(path, place):
    numbers = range(ORDERS)
    log = pd.DataFrame({"customer_id": numbers, "date": pd.Timestamp("2024-02-01"), "amount": 2.0, "order_id": numbers})
    log.to_parquet(f"{path}.parquet")
    process, word = start(REFRESH, path, place)
    assert word == "stopped"
    process.kill()
    process.communicate()
    assert state(path) == (2, 2, 2.0, 1)
    with CustomerDB.open(path) as db:
        db.refresh({"transactions": log})
    assert state(path) == (ORDERS, ORDERS, 2.0 * ORDERS, 2)


HOLD = """
import sys
from crmlab.database import CustomerDB
db = CustomerDB.open(sys.argv[1], read_only=sys.argv[2] == "read")
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["read", "write"])
def test_readers_share_and_a_writer_is_told(path, mode):
    process, word = start(HOLD, path, mode)
    assert word == "open"
    if mode == "read":
        assert state(path) == (2, 2, 2.0, 1)
    with pytest.raises(StoreError, match="is open elsewhere"):
        CustomerDB.open(path)
    process.communicate()
    with CustomerDB.open(path) as db:
        assert len(db.query("SELECT 1 FROM orders")) == 2
