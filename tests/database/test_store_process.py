"""The database between processes: a refresh killed half-way, and several readers at once."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from crmlab.database import CustomerDB
from crmlab.errors import StoreError

ORDERS = 150_000

REFRESH = """
import sys
import pandas as pd
from crmlab.database import CustomerDB

n = {n}
log = pd.DataFrame({{"customer_id": range(n), "date": pd.Timestamp("2024-02-01"), "amount": 2.0, "order_id": range(n)}})
db = CustomerDB.open(sys.argv[1])
print("ready", flush=True)
db.refresh({{"transactions": log}})
print("done", flush=True)
"""


def start(code: str, path: Path, word: str) -> subprocess.Popen:
    """Start Python on `code` and wait until it has said `word`."""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word
    return process


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


def test_a_refresh_killed_half_way_leaves_the_old_state_and_can_be_repeated(path):
    old, new = (2, 2, 2.0, 1), (ORDERS, ORDERS, 2.0 * ORDERS, 2)
    interrupted = 0
    for delay in (0.0, 0.15, 0.3):
        process = start(REFRESH.format(n=ORDERS), path, "ready")
        time.sleep(delay)
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        said = process.communicate()[0]
        if "done" not in said and state(path) == old:
            interrupted += 1
        else:  # the machine was quicker than the signal: then all of it must be there
            assert state(path) == new
    assert interrupted >= 1
    process = start(REFRESH.format(n=ORDERS), path, "ready")
    assert "done" in process.communicate()[0]
    assert state(path)[:3] == new[:3]


def test_readers_share_and_a_writer_is_told(path):
    holding = """
import sys
from crmlab.database import CustomerDB
db = CustomerDB.open(sys.argv[1], read_only={read_only})
print("open", flush=True)
sys.stdin.read()
"""
    for read_only in (True, False):
        process = subprocess.Popen(
            [sys.executable, "-c", holding.format(read_only=read_only), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "open"
        if read_only:
            assert state(path) == (2, 2, 2.0, 1)
        with pytest.raises(StoreError, match="is open elsewhere"):
            CustomerDB.open(path)
        process.communicate()
    assert state(path) == (2, 2, 2.0, 1)
