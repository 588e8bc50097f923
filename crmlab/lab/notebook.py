"""The notebook around a call: who recorded what, and how to show something. Plain Python has no cell."""

import re
import sys
from typing import Any

from crmlab.errors import LabError

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def claim(kind: str, name: str) -> None:
    """Hold `name` for the cell that runs now; a second cell, or a second time in one run of a cell, is refused."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise LabError(f"{kind} name {name!r}: use lower-case letters, digits and underscores, such as 'share_of_top'")
    shell = _shell()
    if shell is None:
        return
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    # a cell that is run again has the same id, if the front end tells it, else the same source
    cell = (parent.get("metadata") or {}).get("cellId") or shell.user_ns.get("In", [""])[-1]
    holders = shell.meta.setdefault("crmlab", {})
    holder, run = holders.get((kind, name), (cell, None))
    if cell != holder or run == shell.execution_count:
        raise LabError(
            f"{kind} {name!r} is already taken in this chapter; every {kind} needs a name of its own "
            "(if you moved its cell, restart the kernel)"
        )
    holders[kind, name] = (cell, shell.execution_count)


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
