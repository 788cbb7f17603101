"""Settings: arguments over environment over file over defaults, and no word misspelt in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from foremend import settings
from foremend.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"FOREMEND_{name.upper()}", raising=False)
    monkeypatch.delenv(settings.CONFIG_VARIABLE, raising=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TOML file that the environment names."""
    path = tmp_path / "foremend.toml"
    path.write_text("")
    monkeypatch.setenv(settings.CONFIG_VARIABLE, str(path))
    return path


def test_without_a_word_from_outside_the_defaults_hold() -> None:
    told = settings.load()
    assert (told.broker_host, told.broker_port, told.data_dir) == ("127.0.0.1", 1883, Path("var"))


def test_the_file_is_over_the_defaults(file) -> None:
    file.write_text("broker_port = 2000\n")
    assert settings.load().broker_port == 2000


def test_the_environment_is_over_the_file(file, monkeypatch) -> None:
    file.write_text('broker_port = 2000\nbroker_host = "broker.example"\n')
    monkeypatch.setenv("FOREMEND_BROKER_PORT", "3000")
    told = settings.load()
    assert (told.broker_port, told.broker_host) == (3000, "broker.example")


def test_an_argument_is_over_all(file, monkeypatch) -> None:
    file.write_text("broker_port = 2000\n")
    monkeypatch.setenv("FOREMEND_BROKER_PORT", "3000")
    assert settings.load(broker_port=4000).broker_port == 4000


def test_an_unknown_word_in_the_file_is_named(file) -> None:
    file.write_text("brokr_port = 2000\n")
    with pytest.raises(ConfigurationError, match="settings: brokr_port: "):
        settings.load()


def test_every_wrong_value_is_named_at_once(monkeypatch) -> None:
    monkeypatch.setenv("FOREMEND_BROKER_PORT", "70000")
    monkeypatch.setenv("FOREMEND_LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match=r"broker_port: .*; log_level: "):
        settings.load()


def test_a_wrong_secret_is_not_told(monkeypatch) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        settings.load(broker_password=["hunter2"])
    assert "hunter2" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(monkeypatch, tmp_path) -> None:
    missing = tmp_path / "nothing.toml"
    monkeypatch.setenv(settings.CONFIG_VARIABLE, str(missing))
    with pytest.raises(ConfigurationError, match=r"nothing\.toml, which is not a file"):
        settings.load()


def test_a_file_that_is_no_toml_is_named(file) -> None:
    file.write_text("broker_port: 2000\n")
    with pytest.raises(ConfigurationError, match=r"foremend\.toml is not TOML"):
        settings.load()


def test_settings_do_not_show_their_secrets() -> None:
    told = settings.load(database_url="postgresql://app:hunter2@db/x", broker_password="hunter2")
    assert "hunter2" not in f"{told!r} {told}"


def test_trusted_keys_lie_in_the_data_folder_unless_told_otherwise(tmp_path) -> None:
    assert settings.load(data_dir=tmp_path).trusted_keys_dir == tmp_path / "keys" / "trusted"
    assert settings.load(trust_keys=tmp_path / "k").trusted_keys_dir == tmp_path / "k"
