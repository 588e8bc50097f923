"""A folder of one's own to work in: the chapters copied, and never an edit lost."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

from crmlab.datasets.cards import sha256_of
from crmlab.lab.catalogue import CATALOGUE, chapters
from crmlab.lab.files import atomic_path, write_text
from crmlab.resources import course_dir

_MANIFEST = ".crmlab.json"

Action = Literal["new", "renewed", "unchanged", "kept"]


def copy_course(target: Path, course: Path | None = None) -> dict[str, Action]:
    """Copy the chapters and the catalogue to a folder; a file that was edited there is never overwritten.

    Parameters
    ----------
    target : pathlib.Path
        The folder, made if it is not there.
    course : pathlib.Path, optional
        The course to copy; by default the one that comes with crmlab.

    Returns
    -------
    dict of str to {"new", "renewed", "unchanged", "kept"}
        What was done with each file. "renewed": an older copy, never edited, was replaced; "kept": it differs from what
        was copied, so it stays.
    """
    sources = [(course or course_dir("notebooks")) / CATALOGUE, *(one.path for one in chapters(course))]
    target.mkdir(parents=True, exist_ok=True)
    known = _read_manifest(target / _MANIFEST)
    done = {one.name: _copy(one, target / one.name, known) for one in sources}
    write_text(target / _MANIFEST, json.dumps(known, indent=1) + "\n")
    return done


def open_lab(folder: Path) -> int:
    """Open JupyterLab of this Python in a folder, and wait; its exit code."""
    signal.signal(signal.SIGINT, lambda *_: None)  # JupyterLab hears Ctrl-C too, and asks whether it is meant
    return subprocess.call([sys.executable, "-m", "jupyterlab"], cwd=folder)


def _copy(source: Path, target: Path, known: dict[str, str]) -> Action:
    """Copy one file unless that would lose an edit, and note its checksum in `known`."""
    new = sha256_of(source)
    existing = sha256_of(target) if target.exists() else None
    if existing == new:
        known[target.name] = new
        return "unchanged"
    if existing is not None and existing != known.get(target.name):
        return "kept"
    with atomic_path(target) as unfinished:
        shutil.copyfile(source, unfinished)
    known[target.name] = new
    return "new" if existing is None else "renewed"


def _read_manifest(path: Path) -> dict[str, str]:
    """Checksums of the files as they were copied; an unreadable manifest counts as none, so nothing is overwritten."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
