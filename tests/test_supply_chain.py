"""What the server is made of: pinned, licensed, and audited by what can be known; and no secret among it."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from supply_chain.audit import CLEAN, UNCHECKED, VULNERABLE, judge
from supply_chain.licences import Package, find_faults, list_packages, render
from tests.fakes.servers import ROOT

# Of providers, clouds and code hosts, long enough to be none that a test made up.
SECRET = re.compile(
    r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9]{32,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bwhsec_[A-Za-z0-9+/]{40,}|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n[A-Za-z0-9+/]{40}"
)


@pytest.mark.parametrize(
    "name",
    [
        *("requirements.txt", "requirements-otel.txt", "requirements-dev.txt"),
        *("supply_chain/requirements.txt", "tests/billing/exports/requirements.txt"),
    ],
)
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^ *#.*\n?", "", (ROOT / name).read_text("utf-8")).strip())

    assert len(entries) >= 15
    assert not [entry for entry in entries if "==" not in entry.split()[0] or "--hash=sha256:" not in entry]


def test_nothing_is_installed_without_its_hash() -> None:
    lines = (ROOT / "Makefile").read_text("utf-8").splitlines()
    installs = [line for line in lines if re.search(r"(pip|\$\(PIP\)).* -r \S*requirements", line)]

    assert len(installs) >= 4
    assert "--require-hashes" in next(line for line in lines if line.startswith("PIP := "))
    assert not [line for line in installs if "$(PIP)" not in line and "--require-hashes" not in line]


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    return list_packages()


def test_every_licence_is_allowed(packages: list[Package]) -> None:
    assert len(packages) >= 50
    assert find_faults(packages) == []


@pytest.mark.parametrize("licence", [None, "GPL-3.0-only", "MIT AND AGPL-3.0-only", "MIT OR SSPL-1.0"])
def test_another_licence_is_named(licence: str | None) -> None:
    (fault,) = find_faults([Package("new", "1.0", "", licence)])

    assert fault.startswith("new: ")


def test_the_page_of_licences_is_up_to_date(packages: list[Package]) -> None:
    assert (ROOT / "docs" / "licences.md").read_text("utf-8") == render(packages), "run `make licences`"


@pytest.mark.parametrize(
    ("answer", "status", "strict", "part"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], CLEAN, CLEAN, "No known vulnerabilities in 1 packages"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            VULNERABLE,
            VULNERABLE,
            "a 1: CVE-1, fixed in 2",
        ),
        ([{"name": "a", "skip_reason": "not found"}], CLEAN, UNCHECKED, "NOT CHECKED: the data about 1 of 1"),
        (None, CLEAN, UNCHECKED, "NOT CHECKED: the data about any package is unavailable (no network)"),
    ],
)
def test_an_audit_without_its_data_is_no_clean_audit(answer: object, status: int, strict: int, part: str) -> None:
    written = "" if answer is None else json.dumps({"dependencies": answer})

    for is_strict, expected in ((False, status), (True, strict)):
        ended, text = judge(written, "Traceback\nno network\n", strict=is_strict)
        assert (ended, part in text) == (expected, True), text


def test_no_secret_is_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]

    found = [
        name
        for name in names
        # Keys of test vectors and fakes are made up there.
        if not name.startswith("tests/") and SECRET.search((ROOT / name).read_bytes().decode("utf-8", "replace"))
    ]

    assert len(names) > 500
    assert not found
    assert ".env" not in {name.rsplit("/", 1)[-1] for name in names}
    ignored = subprocess.run(["git", "check-ignore", ".env"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0
    assert SECRET.search("sk-proj-" + "a1" * 20)
