"""Files and folders that settings name: what the owner set and cannot work is told at start, with what to do."""

from __future__ import annotations

import contextlib
import os

import pytest

from app.config import Config, ConfigError, find_unreadable, find_unwritable, load_config


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a file").write_text("")
    (tmp_path / "locked").mkdir(mode=0)
    (tmp_path / "locked file").touch(mode=0)
    (tmp_path / "broken link").symlink_to("nowhere")
    return tmp_path


@contextlib.contextmanager
def as_nobody(root):
    """As root, for whom every mode is right, become another user for a while."""
    if is_root := os.geteuid() == 0:
        for folder in (root, *root.parents):
            if folder.stat().st_uid == 0 and folder.name.startswith("pytest-"):
                folder.chmod(0o755)
        root.chmod(0o755)
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


READ = {
    "prompts_dir": ("a folder", "a file"),
    "schemas_dir": ("a folder", "a file"),
    "tools_dir": ("a folder", "a file"),
    "prices_file": ("a file", "a folder"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_must_be_there_and_of_its_kind(root, name):
    right, wrong = READ[name]

    def told(value):
        return list(find_unreadable(Config(**{name: value}), root))

    assert told(right) == told(str(root / right)) == []
    for value in ("nowhere", str(root / "nowhere"), "broken link", "~/prompts", f"{right}/nowhere", wrong):
        (problem,) = told(value)
        assert problem.startswith(f"{name.upper()}: ")
        assert f"'{root / value}'" in problem
        assert problem.endswith("correct the path.")


def test_the_folders_of_the_defaults_need_not_be_there_but_must_be_folders(root):
    assert list(find_unreadable(Config(), root)) == []

    (root / "prompts").write_text("")
    (problem,) = find_unreadable(Config(), root)
    assert problem.startswith("PROMPTS_DIR: ")


def test_what_the_user_of_the_server_may_not_read_or_write_is_told(root):
    settings = {"prompts_dir": "locked", "tools_dir": "locked/tools", "prices_file": "locked file"}
    config = Config(**settings, state_dir="locked/state", data_dir="locked")

    with as_nobody(root):
        told = [*find_unreadable(config, root), *find_unwritable(config, root)]

    assert [problem.partition(":")[0] for problem in told] == [
        "PROMPTS_DIR",
        "TOOLS_DIR",
        "PRICES_FILE",
        "STATE_DIR",
        "DATA_DIR",
    ]
    assert all("Permission denied; ch" in problem for problem in told)


@pytest.mark.parametrize("name", ["state_dir", "data_dir"])
def test_what_is_written_need_not_be_there_but_must_be_possible(root, name):
    def told(value, **others):
        return list(find_unwritable(Config(**{name: value}, **others), root))

    assert told("a folder") == told("a folder/below/it") == told("not yet") == []
    for value in ("a file", "a file/below/it", "/proc/none"):
        (problem,) = told(value)
        assert problem.startswith(f"{name.upper()}: '{root / value}' cannot be ")
        assert problem.endswith(("correct the path.", "or choose another folder."))
    assert not list(root.glob("not yet"))


def test_the_folder_of_state_is_not_written_with_redis(root):
    config = Config(state_dir="a file", data_dir="a folder", redis_url="redis://127.0.0.1")

    assert list(find_unwritable(config, root)) == []


def test_env_is_told_with_all_other_faults(root, monkeypatch):
    monkeypatch.setattr("os.environ", {})
    (root / ".env").write_text("CHAT_MODLE=x\nSCHEMAS_DIR=nowhere\n")

    with pytest.raises(ConfigError) as caught:
        load_config(root)

    assert [problem.partition(" ")[0] for problem in caught.value.problems] == [".env:", "SCHEMAS_DIR:"]
