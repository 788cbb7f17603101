"""The data folder refuses, in one sentence, whatever would lose or mix up data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stack.embedded.datadir import DataDirInUse, DataDirUnusable, DiskFull, open_data_dir

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_folder_is_private_and_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "var"
    with open_data_dir(path) as home:
        secret = home.secret("postgres")

    with open_data_dir(path) as again:
        assert again.secret("postgres") == secret
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_secret_is_its_owners_alone_and_unlike_any_other(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "var") as home:
        assert home.secret("one") != home.secret("two")
        assert (home.path / "keys" / "one").stat().st_mode & 0o777 == 0o600
        assert len(home.secret("one")) >= 43


def test_a_second_copy_is_told_which_process_has_the_folder(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "var"), pytest.raises(DataDirInUse) as refusal:
        open_data_dir(tmp_path / "var")

    holder = (tmp_path / "var" / "lock").read_text().strip()
    assert f"(pid {holder}); stop that copy with Ctrl-C or `kill {holder}`" in str(refusal.value)


def test_a_lock_left_by_a_dead_process_does_not_count(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "var"):
        pass
    (tmp_path / "var" / "lock").write_text("1\n")

    with open_data_dir(tmp_path / "var") as home:
        assert home.path == tmp_path / "var"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(DataDirUnusable, match=r"holds other files \(thesis.txt\)"):
        open_data_dir(tmp_path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_start_cut_short_before_the_stamp_does_not_make_a_folder_foreign(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "foremend.json.partial").write_text("{")

    with open_data_dir(tmp_path) as home:
        assert json.loads((home.path / "foremend.json").read_text()) == {"format": 1}


@pytest.mark.parametrize(
    ("stamp", "sentence"),
    [('{"format": 99}', "was written in format 99"), ("{", "may be damaged"), ("[]", "damaged")],
)
def test_a_stamp_from_elsewhere_is_named(tmp_path: Path, stamp: str, sentence: str) -> None:
    (tmp_path / "foremend.json").write_text(stamp)

    with pytest.raises(DataDirUnusable, match=sentence):
        open_data_dir(tmp_path)


def test_too_little_disk_is_refused_and_the_lock_let_go(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="MiB are needed; free some disk space"):
        open_data_dir(tmp_path / "var", minimum_free=2**62)

    open_data_dir(tmp_path / "var").close()


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").touch()

    with pytest.raises(DataDirUnusable, match="choose another with --data-dir"):
        open_data_dir(tmp_path / "var")
