"""The notebook around a call: which cell runs now, and how to show something in it. Plain Python has no cell."""

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """The cell that runs now.

    Attributes
    ----------
    cell : str
        What stays the same when the cell is run again: its id if the front end tells it, else its source.
    run : int
        The kernel's count of executions.
    ledger : dict
        Shared by all cells of the kernel, empty at its start.
    """

    cell: str
    run: int
    ledger: dict[str, dict[str, tuple[str, int]]]


def current_cell() -> Cell | None:
    """The cell that runs now, or None outside a notebook."""
    shell = _shell()
    if shell is None:
        return None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = (parent.get("metadata") or {}).get("cellId") or shell.user_ns.get("In", [""])[-1]
    ledger = shell.meta.setdefault("crmlab", {})
    return Cell(cell, shell.execution_count, ledger)


def show(bundle: dict[str, Any]) -> None:
    """Show one output, given in several forms by mime type; plain Python prints the text form."""
    if _shell() is None:
        print(bundle["text/plain"])
        return
    from IPython.display import display

    display(bundle, raw=True)


def _shell() -> Any | None:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
