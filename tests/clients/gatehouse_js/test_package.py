"""gatehouse.js as a package: what npm packs and installs, and its types."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.running_server import HERE
from tests.fakes.servers import ROOT

pytestmark = pytest.mark.clients

FOLDER = ROOT / "app" / "web" / "static"
IMPORTS = (
    "import { Gatehouse, GatehouseError } from 'gatehouse'; console.log(typeof Gatehouse, GatehouseError.name)"
)


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program's folder, in which the package is installed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    [packed] = json.loads(run("npm", "pack", FOLDER, "--json", cwd=folder))
    run("npm", "install", "--offline", "--no-audit", "--no-fund", f"./{packed['filename']}", cwd=folder)
    return folder


def test_only_its_own_files_are_packed(project: Path) -> None:
    package = project / "node_modules" / "gatehouse"
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}

    assert {"package.json", "gatehouse.js", "gatehouse.d.ts"} <= files
    assert not [name for name in files if not name.startswith(("package.json", "gatehouse", "chat/"))]
    assert (package / "gatehouse.js").read_bytes() == (FOLDER / "gatehouse.js").read_bytes()


def test_all_that_its_files_import_is_packed(project: Path) -> None:
    package = project / "node_modules" / "gatehouse"
    imports = [
        (file, file.parent / name)
        for file in package.rglob("*.js")
        for name in re.findall(r"""(?:from|import)\s*\(?["'](\.[^"'`]+)["']""", file.read_text(encoding="utf-8"))
    ]

    assert len(imports) > 5
    assert not [(file.name, str(imported)) for file, imported in imports if not imported.is_file()]


def test_a_program_imports_it(project: Path) -> None:
    assert run("node", "--input-type=module", "--eval", IMPORTS, cwd=project) == "function GatehouseError\n"


def test_a_server_that_renders_pages_may_import_the_element(project: Path) -> None:
    code = "import { GatehouseChat } from 'gatehouse/chat'; console.log(typeof GatehouseChat)"

    assert run("node", "--input-type=module", "--eval", code, cwd=project) == "function\n"


@pytest.mark.parametrize("resolution", [("esnext", "bundler"), ("nodenext", "nodenext")])
def test_its_types(project: Path, resolution: tuple[str, str]) -> None:
    (project / "sample.ts").write_bytes((HERE / "gatehouse_js" / "sample.ts").read_bytes())
    options: dict[str, Any] = {
        "strict": True,
        "noEmit": True,
        "noUncheckedIndexedAccess": True,
        "exactOptionalPropertyTypes": True,
        "target": "es2023",
        "lib": ["es2023", "dom", "dom.iterable", "dom.asynciterable"],
        "module": resolution[0],
        "moduleResolution": resolution[1],
        "types": [],
    }
    config = {"compilerOptions": options, "files": ["sample.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")

    run(HERE / "node_modules" / ".bin" / "tsc", "--project", project, cwd=project)
