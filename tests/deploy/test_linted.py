"""What linters of other projects say of the Containerfile and of the base for Kustomize."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fakes.servers import ROOT


def test_hadolint_finds_no_fault_with_the_containerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, ROOT / "Containerfile"], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_base() -> None:
    command = ["kubectl", "kustomize", ROOT / "deploy" / "kubernetes"]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert built.returncode == 0, built.stderr

    files = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "kustomization.yml").read_text("utf-8"))["resources"]
    ours = [
        each
        for file in files
        for each in yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / file).read_text("utf-8"))
        if each
    ]
    kinds = sorted(each["kind"] for each in yaml.safe_load_all(built.stdout))
    assert set(kinds) >= {each["kind"] for each in ours}
    assert len(kinds) >= len(ours)
