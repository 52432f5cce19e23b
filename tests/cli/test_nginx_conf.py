"""`flask nginx-conf`: what it prints in Nginx itself is tested in tests/deploy/test_nginx.py."""

from __future__ import annotations

import pytest

from app.cli.nginx_conf import _TEMPLATE, TemplateChanged, render_site
from app.config import Config


@pytest.fixture
def run(make_app):
    def run(*args, **settings):
        return make_app(**settings).test_cli_runner().invoke(args=["nginx-conf", *args])

    return run


def test_the_names_are_those_of_the_settings_or_the_command(run):
    printed = run(trusted_hosts=("a.example", "a.example:8443"), trusted_proxies=1)
    assert printed.exit_code == 0
    assert "server_name a.example;" in printed.stdout
    assert printed.stderr == ""
    assert "server_name b.example;" in run("--server-name", "b.example").stdout


@pytest.mark.parametrize("name", ["a b", "a;", "", "-a", '"', "a\n}"])
def test_a_name_that_is_none_is_refused(run, name):
    assert run("--server-name", name).exit_code == 2


def test_without_a_name_nothing_is_printed(run):
    assert run().exit_code == 2


def test_that_the_application_must_know_of_the_proxy_is_said(run):
    assert "Set TRUSTED_PROXIES=1" in run("--server-name", "a.example").stderr


def test_a_template_that_has_changed_is_no_half_filled_site():
    with pytest.raises(TemplateChanged):
        render_site("# x\n\nupstream gatehouse {}\n", Config(), ["a.example"])


def test_no_line_is_too_long_for_nginx_and_few_names_set_no_size_of_all_sites():
    for count, sizes in ((2, 0), (500, 2)):
        names = [f"{number}.customers.example.com" for number in range(count)]
        site = render_site(_TEMPLATE.read_text(), Config(), names)
        assert max(map(len, site.splitlines())) < 4_096
        assert site.count("_hash_max_size ") == sizes
        assert all(f"    {name}  1;\n" in site for name in names)
