"""What newcomers write into .env: each fault is told at start, with what to write instead."""

from __future__ import annotations

import pytest

from app.config import Config, ConfigError, load_config, read_env_file


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", {"PATH": "/bin", "CHAT_MODLE": "of another program"})

    def write_and_load(content: str | bytes) -> Config:
        (tmp_path / ".env").write_bytes(content.encode() if isinstance(content, str) else content)
        return load_config(tmp_path)

    return write_and_load


def told(write, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        write(content)
    return " ".join(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CHAT_MODLE", "CHAT_MODEL"),
        ("OPENAI_APIKEY", "OPENAI_API_KEY"),
        ("OPEN_AI_API_KEY", "OPENAI_API_KEY"),
        ("chat_model", "CHAT_MODEL"),
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("CHAT_FALLBACK_MODEL", "CHAT_FALLBACK_MODELS"),
        ("RATE_LIMITS", "RATE_LIMIT"),
        ("TIMEOUT_S", "TOOL_TIMEOUT_S"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID"),
        ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("OPENAI_MODEL", "CHAT_MODEL"),
        ("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION"),
    ],
)
def test_a_name_that_is_no_setting_is_told_with_the_one_that_was_meant(write, name, nearest):
    assert told(write, f"{name}=secret-value\n") == f".env: {name} is not a setting; did you mean {nearest}?"


def test_a_name_that_resembles_none_is_told_with_where_all_are(write):
    assert told(write, "export ZZZ=1") == ".env: ZZZ is not a setting; .env.example lists all settings."


def test_all_faults_are_told_at_once(write):
    text = told(write, "CHAT_MODLE=x\nOPENAI_APIKEY=y\nPORT=many\n")

    assert all(name in text for name in ("CHAT_MODLE", "OPENAI_APIKEY", "PORT must be a whole number"))


def test_what_libraries_read_is_no_fault(write):
    write(
        "HTTPS_PROXY=http://proxy:1\nno_proxy=localhost\nSSL_CERT_FILE=/x\nPGSSLMODE=require\nFLASK_DEBUG=1\nTZ=UTC\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffCHAT_MODEL=m\n",
        "CHAT_MODEL=m\r\n",
        "export CHAT_MODEL='m' # the model\n",
        'CHAT_MODEL = "m"\n',
    ],
)
def test_files_of_all_editors_are_read(write, content):
    assert write(content).chat_model == "m"


@pytest.mark.parametrize("content", ["\n# a comment\nOPENAI_API_KEY sk-secret\n", "\n\nOPENAI_API_KEY\n"])
def test_a_line_without_an_equals_sign_is_told_with_its_number_and_without_its_text(write, content):
    assert told(write, content) == ".env, line 3: it must have the form NAME=value."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "OPENAI_API_KEY=sk-secret\n\nOPENAI_API_KEY=\n",
            ".env: OPENAI_API_KEY is set in line 1 and emptied in line 3; remove one of the two.",
        ),
        ("CHAT_MODEL=${MY_MODEL}\n", ".env: CHAT_MODEL contains ${MY_MODEL}, which is not set."),
        ("DATABASE_URL='postgresql://u:a${b}c@h/d'\n", ".env: DATABASE_URL contains ${b}, which is not set."),
    ],
)
def test_what_would_silently_be_empty_is_told(write, content, problem):
    assert told(write, content) == problem


def test_the_last_line_of_a_name_counts_and_a_variable_may_stand_for_another(write):
    config = write(
        "CHAT_MODEL=\nCHAT_MODEL=a\nCHAT_MODEL=b\nVISION_MODEL=${CHAT_MODEL}\nEMBEDDING_MODEL=${X:-e}\n"
    )

    assert (config.chat_model, config.vision_model, config.embedding_model) == ("b", "b", "e")


def test_a_file_that_is_no_utf_8_is_told(write):
    assert told(write, "CHAT_MODEL=m".encode("utf-16")) == ".env is not encoded as UTF-8; save it as UTF-8."


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / ".env").mkdir()

    with pytest.raises(ConfigError, match=r"\.env cannot be read \(Is a directory\)"):
        load_config(tmp_path)


def test_the_environment_overrides_the_file_and_no_file_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", {"CHAT_MODEL": "from-the-environment"})
    assert load_config(tmp_path).chat_model == "from-the-environment"

    (tmp_path / ".env").write_text("CHAT_MODEL=from-the-file\nVISION_MODEL=v\n")
    config = load_config(tmp_path)
    assert (config.chat_model, config.vision_model) == ("from-the-environment", "v")


def test_a_file_that_was_read_already_is_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", {})
    (tmp_path / ".env").write_text("CHAT_MODEL=first\n")
    in_file = read_env_file(tmp_path)
    (tmp_path / ".env").write_text("CHAT_MODEL=second\n")

    assert load_config(tmp_path, in_file).chat_model == "first"
    with pytest.raises(ConfigError, match="CHAT_MODLE"):
        load_config(tmp_path, {"CHAT_MODLE": "x"})


@pytest.mark.parametrize("word", ["none", "None", " NONE "])
def test_the_word_none_empties_each_list_that_is_not_empty_by_default(word):
    config = Config.from_env(dict.fromkeys(("CHAT_FALLBACK_MODELS", "JWT_SCOPES", "ANONYMOUS_SCOPES"), word))

    assert (config.models.fallbacks["chat"], config.jwt_scopes) == ((), ())
    assert config.allowed_anonymous_scopes == frozenset()


def test_the_word_none_is_no_model_host_or_origin():
    names = ("ALLOWED_MODELS", "ALLOWED_TOOLS", "ALLOWED_ORIGINS", "TRUSTED_HOSTS")

    assert Config.from_env(dict.fromkeys(names, "none")) == Config()
