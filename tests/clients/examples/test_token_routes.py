"""The token recipes, each in its own runtime: Flask, Express, Next, Django, PHP and Rails."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.clients.examples.running import EXAMPLES, HERE, copy_of, serving
from tests.clients.running_server import PYTHON
from tests.clients.site import Site
from tests.fakes.servers import ROOT, exchange, free_port

pytestmark = pytest.mark.clients

RAILS = "tokens/gatehouse_tokens_controller.rb"
RECIPES = [path for path in (EXAMPLES / "tokens").rglob("*") if path.suffix in {".js", ".php", ".py", ".rb"}]


def needs(program: str) -> Any:
    is_missing = shutil.which(program) is None and not os.environ.get("CI")
    return pytest.mark.skipif(is_missing, reason=f"{program} is not installed")


def _has_rails() -> bool:
    command = ["ruby", "-e", "require 'action_controller/railtie'"]
    return (
        shutil.which("ruby") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


needs_rails = pytest.mark.skipif(not _has_rails(), reason="Rails is not installed (Debian: ruby-railties)")


def variables_of(site: Site) -> dict[str, str]:
    return {"GATEHOUSE_URL": site.url, "GATEHOUSE_KEY": site.key}


@contextmanager
def running(name: str, site: Site, *, port: int | None = None) -> Iterator[str]:
    """Run a recipe as its page says; the address of its site."""
    port = port or free_port()
    with ExitStack() as stack:
        enter = stack.enter_context
        if name == "flask":
            folder = enter(copy_of("flask-site"))
            command: list[object] = [PYTHON, "-m", "flask", "run", "--port", port]
        elif name == "express":
            folder = enter(copy_of("tokens/express.js"))
            command = ["node", "express.js"]
        elif name == "next":
            folder = enter(copy_of("tokens/next"))
            command = [HERE / "node_modules/.bin/next", "dev", "--port", port, "--hostname", "127.0.0.1"]
        elif name == "django":
            folder = enter(copy_of("tokens/django_view.py"))
            shutil.copy(HERE / "run_django.py", folder)
            urls = (
                "from django.urls import path\n"
                "from django_view import gatehouse_token\n"
                "urlpatterns = [path('gatehouse-token', gatehouse_token)]\n"
            )
            (folder / "urls.py").write_text(urls, encoding="utf-8")
            command = [PYTHON, "run_django.py", port]
        else:
            folder = enter(copy_of("tokens/gatehouse-token.php"))
            command = ["php", "-S", f"127.0.0.1:{port}", "gatehouse-token.php"]
        command = [str(part) for part in command]
        more = {"PORT": str(port), "NEXT_TELEMETRY_DISABLED": "1", "DJANGO_SETTINGS_MODULE": ""}
        yield enter(serving(command, port, folder, **variables_of(site), **more))


class Visitor:
    """A browser that keeps its cookies."""

    def __init__(self, url: str) -> None:
        self._open = build_opener(HTTPCookieProcessor(CookieJar())).open
        self._url = url

    def get_token(self) -> str:
        with self._open(f"{self._url}/gatehouse-token", timeout=60) as response:
            assert response.headers["Content-Type"].startswith("application/json")
            assert "no-store" in response.headers["Cache-Control"]
            token: str = json.load(response)["token"]
        return token


def _run_ruby(site: Site, *command: object, code: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ruby", *map(str, command)],
        env={**os.environ, **variables_of(site)},
        input=code,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def user_of(token: str) -> str:
    claims = token.split(".")[1]
    user: str = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    return user


def assert_good(site: Site, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Origin": site.origin}
    port = int(site.url.rpartition(":")[2])
    with exchange(port, "POST", "/api/chat", {"message": "Hi"}, headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "name",
    ["flask", "express", "next", "django", pytest.param("php", marks=needs("php"))],
)
def test_a_recipe_gives_each_visitor_a_token_of_their_own(site: Site, name: str) -> None:
    with running(name, site) as url:
        visitor, other = Visitor(url), Visitor(url)
        tokens = [visitor.get_token(), visitor.get_token(), other.get_token()]

    for token in tokens:
        assert_good(site, token)
    first, again, others = map(user_of, tokens)
    assert first == again != others


@needs("ruby")
def test_the_recipe_of_rails_is_ruby() -> None:
    subprocess.run(["ruby", "-wc", EXAMPLES / RAILS], check=True, capture_output=True, timeout=60)


@needs_rails
def test_the_recipe_of_rails(site: Site) -> None:
    done = _run_ruby(site, HERE / "run_rails.rb", EXAMPLES / RAILS)

    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert {(answer["status"], answer["cacheControl"]) for answer in answers} == {(201, "no-store")}
    for answer in answers:
        assert_good(site, answer["body"]["token"])
    assert len({user_of(answer["body"]["token"]) for answer in answers}) == 1


@needs_rails
def test_a_rails_page_shows_the_answer_to_a_form(site: Site) -> None:
    manual = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    code = manual.partition("```ruby\n")[2].partition("```")[0].replace("https://ai.example.com", site.url)
    done = _run_ruby(site, HERE / "run_rails_page.rb", site.create_token()["formToken"], code=code)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<main>Größe: <div")
    assert "Größe?" in done.stdout
    assert 'class="prose"' in done.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=[path.name for path in RECIPES])
def test_a_recipe_has_ten_lines_at_most(recipe: Path) -> None:
    lines = [line for line in recipe.read_text(encoding="utf-8").splitlines() if line.strip()]

    assert len(lines) <= 10
