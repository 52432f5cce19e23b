"""Write docs/licences.md: the licence of each package that the server may use, for `make licences`.

A licence is what the installed package says of itself, as an SPDX expression. `find_faults()` names those that are not
allowed; a test asks it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

ROOT = Path(__file__).parent.parent
PIN_FILES = (ROOT / "requirements.txt", ROOT / "requirements-otel.txt")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?: ; (.+?))?(?: \\)?$", re.MULTILINE)

# None asks for more than its text and a notice of those who use it unchanged, as an application does that is not
# linked with it. Of the weak ones, changes to the package's own files would have to be published.
ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "LGPL-3.0-only",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "ZPL-2.1",
    "Zlib",
}
# Licences that a package's metadata omit or state inexactly, taken from its licence file; some are for other platforms.
READ_BY_HAND = {
    "async-timeout": "Apache-2.0",
    "httpx2-jsfetch": "BSD-3-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "pysqlite3": "Zlib",
    "tzdata": "Apache-2.0",
}
_OF_CLASSIFIER = {"License :: OSI Approved :: MIT License": "MIT"}
# Packages whose wheels include libraries under other licences, which are allowed for the given reason.
WITH_LIBRARIES = {
    "pillow-heif": (
        "GPL-2.0-only AND LGPL-3.0-only",
        "It reads HEIC and AVIF. Its wheel has x265 (GPL-2.0), libheif and libde265 (LGPL-3.0), whose terms are about passing them on, "
        "as in an image of a container, source included; not about running them",
    ),
    "psycopg-binary": (
        "PostgreSQL AND Apache-2.0",
        "Its wheel has libpq (PostgreSQL) and OpenSSL (Apache-2.0)",
    ),
}
_ONLY_IN_LIBRARIES = {"GPL-2.0-only", "PostgreSQL"}


@dataclass(frozen=True)
class Package:
    """A pinned package and its licence; None if it is unknown."""

    name: str
    version: str
    marker: str
    licence: str | None


def list_packages() -> list[Package]:
    """Return the pinned packages with their licences; the optional ones for traces last."""
    pins = {pin[0]: pin for file in PIN_FILES for pin in _PIN.findall(file.read_text("utf-8"))}
    return [Package(name, version, marker, _find_licence(name)) for name, version, marker in pins.values()]


def find_faults(packages: list[Package]) -> list[str]:
    """Return a sentence for each package without an allowed licence."""
    faults = [f"{package.name}: nothing says its licence" for package in packages if package.licence is None]
    for package in packages:
        if strange := _list_ids(package.licence or "") - ALLOWED:
            faults.append(f"{package.name}: {', '.join(sorted(strange))} is not allowed")
    for name, (licence, _) in WITH_LIBRARIES.items():
        if strange := _list_ids(licence) - ALLOWED - _ONLY_IN_LIBRARIES:
            faults.append(f"{name}: {', '.join(sorted(strange))} of its libraries is not allowed")
    return faults


def render(packages: list[Package]) -> str:
    """Return the text of the page."""
    rows = "\n".join(
        f"| `{package.name}` | {package.version} | {package.licence or 'unknown'} | {_describe(package)} |"
        for package in packages
    )
    return f"""# Licences

Of the {len(packages)} packages that the server runs on, as each says itself. `make licences` writes this page from `requirements.txt` and, for
traces only, `requirements-otel.txt`, whose packages are the last here; a test compares it, and refuses a licence that `supply_chain/licences.py` does not allow. Pages load nothing but files of this repository, whose own licence is
in [LICENSE](../LICENSE).

| package | version | licence | note |
| --- | --- | --- | --- |
{rows}
"""


def _describe(package: Package) -> str:
    notes = [f"only where `{package.marker}`"] if package.marker else []
    if package.name in WITH_LIBRARIES:
        notes.append(WITH_LIBRARIES[package.name][1])
    return ". ".join(notes)


def _find_licence(name: str) -> str | None:
    if name in READ_BY_HAND:
        return READ_BY_HAND[name]
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    for field in ("License-Expression", "License"):
        with contextlib.suppress(InvalidLicenseExpression):  # a whole text, or a name that is not SPDX's
            if field in metadata:
                return canonicalize_license_expression(metadata[field])
    return _find_classified(metadata)


def _find_classified(metadata: importlib.metadata.PackageMetadata) -> str | None:
    said = metadata.get_all("Classifier") or []
    return next((_OF_CLASSIFIER[each] for each in said if each in _OF_CLASSIFIER), None)


def _list_ids(licence: str) -> set[str]:
    """Return all licences in an expression. If it offers a choice, each must be allowed, so that none must be chosen."""
    return {word for word in re.findall(r"[^\s()]+", licence) if word not in {"AND", "OR", "WITH"}}


def main() -> int:
    """Write the page to the given path, and print the problems."""
    packages = list_packages()
    Path(sys.argv[1]).write_text(render(packages), encoding="utf-8")
    faults = find_faults(packages)
    print("\n".join(faults), end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
