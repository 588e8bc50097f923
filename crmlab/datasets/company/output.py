"""Tables on their way out: as Arrow, and into a folder of Parquet files."""

import hashlib
import json
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmlab import __version__
from crmlab.datasets.cards import read_card
from crmlab.datasets.company.firm import SOURCES, Block, Firm, tables_of
from crmlab.errors import ContractError

MANIFEST = "company.json"
_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "str": pa.string(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us"),
}
#: Called after each block of customers with the number of blocks done.
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Written:
    """A table of a firm: its rows, and a sha256 of their values."""

    rows: int
    sha256: str


@cache
def schema(name: str) -> pa.Schema:
    """The columns of a table, as the data card describes them."""
    table = next(table for table in read_card("company").tables if table.name == name)
    return pa.schema([(column.name, _TYPES[column.type]) for column in table.columns])


def drawn(block: Block, name: str) -> pa.Table:
    """One table of one block; a table of the whole firm comes with the first."""
    source, form = SOURCES[name], schema(name)
    if source.whole and block.number > 0:
        return form.empty_table()
    columns = source.draw(block.firm if source.whole else block)
    if list(columns) != form.names:
        raise AssertionError(f"table {name!r} has columns {list(columns)}, its card says {form.names}")
    return pa.table([_typed(columns[field.name], field.type) for field in form], names=form.names)


def _typed(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.DictionaryArray):
        return values
    return pa.array(values, kind, from_pandas=True)


def digest(table: pa.Table) -> bytes:
    """A checksum of the values of a table: of what they are, not of how Arrow or Parquet keeps them.

    Real numbers count to seven digits: the last bits of a logarithm depend on the processor.
    """
    total = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = column.combine_chunks()
        if pa.types.is_dictionary(values.type):
            values = values.cast(pa.string())
        total.update(f"{name}:{values.type}:{len(values)}".encode())
        total.update(values.is_valid().to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_string(values.type):
            values = pa.concat_arrays([values.fill_null("")])
            total.update(pc.binary_length(values).to_numpy().tobytes())
            total.update(values.buffers()[2] or b"")
        else:
            known = values.filter(values.is_valid())
            known = known.cast(pa.float32()) if pa.types.is_floating(known.type) else known
            total.update(known.to_numpy(zero_copy_only=False).tobytes())
    return total.digest()


def write(firm: Firm, folder: Path, *, jobs: int, progress: Progress | None) -> dict[str, Written]:
    """Write a firm to a folder, all of it or nothing: a block at a time, each one row group of every table."""
    _refuse_used(folder)
    unfinished = folder.parent / f".{folder.name}.unfinished"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.mkdir()
    except FileExistsError:
        raise ContractError(
            f"{unfinished} is there: another simulation into {folder} is running, or one was killed; "
            "delete that folder if none is running"
        ) from None
    try:
        written = _write_blocks(firm, unfinished, jobs, progress)
        (unfinished / MANIFEST).write_text(_manifest(firm, written), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        unfinished.replace(folder)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError) and error.errno and not error.filename:  # Arrow does not say where
            raise OSError(error.errno, os.strerror(error.errno), str(folder)) from None
        raise
    return written


def _refuse_used(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ContractError(f"{folder} is a file; name a folder that does not exist yet")
    if folder.is_dir() and any(folder.iterdir()):
        raise ContractError(f"{folder} is not empty; name a new folder, or delete this one")


def _write_blocks(firm: Firm, folder: Path, jobs: int, progress: Progress | None) -> dict[str, Written]:
    (folder / "truth").mkdir()
    totals = {name: hashlib.sha256() for name in tables_of(firm.scenario)}
    rows = dict.fromkeys(totals, 0)
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as open_files:
        for done, block in enumerate(_blocks(firm, jobs), start=1):
            for name, (table, part) in block.items():
                if name not in writers:
                    file = pq.ParquetWriter(
                        folder / f"{name}.parquet", table.schema, compression="zstd", store_schema=False
                    )
                    writers[name] = open_files.enter_context(file)
                if table.num_rows:
                    writers[name].write_table(table, row_group_size=table.num_rows)
                totals[name].update(part)
                rows[name] += table.num_rows
            if progress:
                progress(done)
    return {name: Written(rows[name], total.hexdigest()) for name, total in totals.items()}


def measure(firm: Firm) -> dict[str, Written]:
    """Rows and checksum of every table of a firm that is written nowhere."""
    totals = {name: hashlib.sha256() for name in tables_of(firm.scenario)}
    rows = dict.fromkeys(totals, 0)
    for number in range(firm.n_blocks):
        for name, (table, part) in draw_block(firm, number).items():
            totals[name].update(part)
            rows[name] += table.num_rows
    return {name: Written(rows[name], total.hexdigest()) for name, total in totals.items()}


Drawn = dict[str, tuple[pa.Table, bytes]]


def draw_block(firm: Firm, number: int) -> Drawn:
    """All tables of one block, each with its checksum."""
    block = Block(firm, number)
    tables = {name: drawn(block, name) for name in tables_of(firm.scenario)}
    return {name: (table, digest(table)) for name, table in tables.items()}


def _blocks(firm: Firm, jobs: int) -> Iterator[Drawn]:
    """All blocks in their order, `jobs` of them drawn at once; few are kept at any time."""
    if jobs == 1 or firm.n_blocks == 1:
        yield from (draw_block(firm, number) for number in range(firm.n_blocks))
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _quiet_worker) as pool:
        try:
            with _no_interrupt():
                waiting = deque(pool.submit(draw_block, firm, number) for number in range(min(jobs, firm.n_blocks)))
            for number in range(jobs, firm.n_blocks):
                waiting.append(pool.submit(draw_block, firm, number))
                if len(waiting) > jobs + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ignore Ctrl-C while workers are started: they are born with that, and leave it to the parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _quiet_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _manifest(firm: Firm, written: dict[str, Written]) -> str:
    told = {"n_customers": firm.n_customers, "seed": firm.seed, "years": firm.years, "scenario": asdict(firm.scenario)}
    with_versions = {"drawn_with": {"crmlab": __version__, "numpy": np.__version__, "pyarrow": pa.__version__}}
    tables = {"tables": {name: asdict(one) for name, one in written.items()}}
    return json.dumps(told | with_versions | tables, indent=1) + "\n"
