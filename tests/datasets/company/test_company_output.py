"""The same seed gives the same firm, in memory and on disk; a folder appears complete or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmlab.datasets import load
from crmlab.datasets.company import open_company, output, simulate
from crmlab.datasets.company.firm import BLOCK, SOURCES, tables_of
from crmlab.errors import ContractError, DataUnavailableError

TWO_BLOCKS = BLOCK + 300


@pytest.fixture(scope="module")
def firm():
    return simulate(TWO_BLOCKS, seed=7, years=2)


@pytest.fixture(scope="module")
def folder(firm, tmp_path_factory):
    path = tmp_path_factory.mktemp("company") / "firm"
    firm.write(path)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_processes_change_no_byte(firm, folder, tmp_path):
    written = simulate(TWO_BLOCKS, seed=7, years=2).write(tmp_path / "firm", jobs=2)
    assert files(tmp_path / "firm") == files(folder)
    assert written == open_company(folder).contents == firm.contents


def test_another_seed_is_another_firm(firm):
    other = simulate(TWO_BLOCKS, seed=8, years=2).contents
    same = {name for name, one in firm.contents.items() if one.sha256 == other[name].sha256}
    assert same <= {name for name, source in SOURCES.items() if source.whole}


def test_a_table_does_not_depend_on_what_was_asked_before(firm):
    alone = simulate(TWO_BLOCKS, seed=7, years=2)
    pd.testing.assert_frame_equal(alone["responses"], firm["responses"])
    pd.testing.assert_frame_equal(alone["transactions"], firm["transactions"])


def test_a_larger_firm_has_the_same_first_block(firm):
    smaller = simulate(BLOCK, seed=7, years=2)["orders"]
    larger = firm["orders"]
    pd.testing.assert_frame_equal(larger[larger["customer_id"] <= BLOCK].reset_index(drop=True), smaller)


def test_disk_and_memory_agree(firm, folder):
    opened = open_company(folder)
    assert list(opened.tables) == list(firm.tables)
    assert list(opened.truth.tables) == list(firm.truth.tables)
    for name in firm.tables:
        pd.testing.assert_frame_equal(opened[name], firm[name])
    for name in firm.truth.tables:
        pd.testing.assert_frame_equal(opened.truth[name], firm.truth[name])
    assert opened.truth.scenario == firm.truth.scenario
    assert repr(opened) == repr(firm)


def test_a_block_is_a_row_group(firm, folder):
    found = pq.ParquetFile(folder / "customers.parquet").metadata
    assert [found.row_group(number).num_rows for number in range(found.num_row_groups)] == [BLOCK, 300]
    assert {name: one.rows for name, one in firm.contents.items()} == {
        name: pq.ParquetFile(folder / f"{name}.parquet").metadata.num_rows for name in tables_of(firm.truth.scenario)
    }


def test_the_checksum_is_one_of_values(firm):
    table = output.drawn(firm.firm.block(1), "orders")
    assert output.digest(table) == output.digest(table.slice(0))
    plain = table.set_column(3, "channel", table["channel"].cast("string"))
    assert output.digest(table) == output.digest(plain)
    assert output.digest(table) != output.digest(table.slice(1))
    last_bit = pa.array(np.nextafter(table["amount"].to_numpy(), np.inf))
    assert output.digest(table) == output.digest(table.set_column(4, "amount", last_bit))
    swapped = table.set_column(4, "amount", table["amount"].take([1, 0, *range(2, len(table))]))
    assert output.digest(table) != output.digest(swapped)


def test_the_data_set_company_is_the_default_firm():
    firm = simulate(3_000, seed=5)
    data = load("company", seed=5)
    pd.testing.assert_frame_equal(data.transactions, firm["transactions"])
    assert list(data.tables) == list(firm.tables)
    assert data.origin == "simulated"


def test_an_interrupt_leaves_nothing(firm, tmp_path):
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        firm.write(tmp_path / "firm", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(firm, tmp_path):
    def full(done: int) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")  # as Arrow says it

    with pytest.raises(OSError, match=r"No space left on device: .*firm") as told:
        firm.write(tmp_path / "firm", progress=full)
    assert told.value.filename == str(tmp_path / "firm")
    assert list(tmp_path.iterdir()) == []


def start(folder: Path, *more: str) -> subprocess.Popen:
    told = ["simulate", "--customers", "200000", "--seed", "7", "--out", str(folder), *more]
    # a background job ignores Ctrl-C, and a child would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        begun = subprocess.Popen([sys.executable, "-m", "crmlab", *told], stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    unfinished = folder.parent / f".{folder.name}.unfinished"
    deadline = time.monotonic() + 60
    while not (unfinished / "orders.parquet").exists():
        assert time.monotonic() < deadline
        assert begun.poll() is None
        time.sleep(0.05)
    return begun


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX; run it on Linux or macOS")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_says_so_and_leaves_nothing(tmp_path, sign):
    begun = start(tmp_path / "firm", "--jobs", "2")
    begun.send_signal(sign)
    _, words = begun.communicate(timeout=60)
    assert begun.returncode == 130
    assert words == f"Stopped; {tmp_path / 'firm'} was not written.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX; run it on Linux or macOS")
def test_a_killed_command_leaves_no_folder_that_looks_whole(tmp_path):
    begun = start(tmp_path / "firm", "--jobs", "2")
    workers = psutil.Process(begun.pid).children(recursive=True)
    begun.kill()
    begun.communicate(timeout=60)
    psutil.wait_procs(workers, timeout=30)
    assert [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert [path.name for path in tmp_path.iterdir()] == [".firm.unfinished"]
    with pytest.raises(ContractError, match=r"delete that folder if none is running"):
        simulate(10, seed=7).write(tmp_path / "firm")
    with pytest.raises(DataUnavailableError, match="is not a folder written by"):
        open_company(tmp_path / ".firm.unfinished")


def test_a_folder_in_use_is_refused(tmp_path):
    small = simulate(10, seed=7, scenario="textbook")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep", encoding="utf-8")
    (tmp_path / "file").write_text("keep", encoding="utf-8")
    for name, words in {"used": "is not empty", "file": "is a file"}.items():
        with pytest.raises(ContractError, match=words):
            small.write(tmp_path / name)
    (tmp_path / "empty").mkdir()
    small.write(tmp_path / "empty")
    assert open_company(tmp_path / "empty").firm == small.firm


def test_a_damaged_folder_is_refused(tmp_path):
    simulate(10, seed=7, scenario="textbook").write(tmp_path / "firm")
    manifest = tmp_path / "firm" / "company.json"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    told["scenario"]["spend"]["p"] = -1
    manifest.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ContractError, match=r"spend\.p: Input should be greater than 0; got -1"):
        open_company(tmp_path / "firm")
    manifest.write_text("{", encoding="utf-8")
    with pytest.raises(DataUnavailableError, match=r"is not a folder written by `crmlab simulate`"):
        open_company(tmp_path / "firm")
    with pytest.raises(DataUnavailableError, match="nowhere is not a folder written by"):
        open_company(tmp_path / "nowhere")
