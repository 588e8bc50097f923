"""Copying the chapters to a folder of one's own: an edit is never lost."""

import signal
import sys
from pathlib import Path

import pytest

from crmlab.lab.workbench import copy_course, open_lab
from tests.lab.conftest import MakeCourse


def test_an_edit_is_kept_and_an_older_copy_renewed(make_course: MakeCourse, tmp_path: Path) -> None:
    target = tmp_path / "a" / "mine"
    course = make_course(c11=["1"], c12=["1"])
    assert copy_course(target, course) == {"course.yml": "new", "11_chapter.ipynb": "new", "12_chapter.ipynb": "new"}
    assert set(copy_course(target, course).values()) == {"unchanged"}
    edited = target / "11_chapter.ipynb"
    edited.write_text(edited.read_text().replace("count customers", "my notes"))
    assert copy_course(target, course)["11_chapter.ipynb"] == "kept"
    newer = make_course(c11=["2"], c12=["2"])
    assert copy_course(target, newer) == {
        "course.yml": "unchanged", "11_chapter.ipynb": "kept", "12_chapter.ipynb": "renewed",
    }  # fmt: skip
    assert "my notes" in edited.read_text()
    assert (target / "12_chapter.ipynb").read_bytes() == (newer / "12_chapter.ipynb").read_bytes()
    edited.unlink()
    assert copy_course(target, newer)["11_chapter.ipynb"] == "new"


@pytest.mark.parametrize("manifest", ["{", "[]", None])
def test_without_a_manifest_nothing_is_overwritten(
    make_course: MakeCourse, tmp_path: Path, manifest: str | None
) -> None:
    course = make_course(c11=["1"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "11_chapter.ipynb").write_text("mine")
    if manifest is not None:
        (tmp_path / "mine" / ".crmlab.json").write_text(manifest)
    assert copy_course(tmp_path / "mine", course) == {"course.yml": "new", "11_chapter.ipynb": "kept"}
    assert (tmp_path / "mine" / "11_chapter.ipynb").read_text() == "mine"


def test_jupyterlab_of_this_python_is_opened_in_the_folder_and_ctrl_c_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jupyter = tmp_path / "python"
    jupyter.write_text('#!/bin/sh\nkill -INT $PPID\nsleep 0.5\necho "$PWD" "$@" > asked\nexit 3\n')
    jupyter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(jupyter))
    before = signal.getsignal(signal.SIGINT)
    try:
        assert open_lab(tmp_path) == 3
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "asked").read_text() == f"{tmp_path} -m jupyterlab\n"
