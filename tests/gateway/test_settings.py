"""Settings: one place, refused by name when unknown, never showing a value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import BadInput
from gateway.settings import Settings, default_home, home_is_named, load_settings, settings_page


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TONGGUAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.toml").write_text(text, "utf-8")
    return folder


def test_without_any_setting_it_listens_on_loopback_and_sends_no_traces() -> None:
    settings = load_settings()
    assert settings.home == default_home()
    assert (settings.host, settings.port) == ("127.0.0.1", 8600)
    assert settings.otlp_endpoint == ""


def test_explicit_values_win_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = write(tmp_path / "home", "port = 1001\ntoken_minutes = 11\nsession_hours = 2\n")
    monkeypatch.setenv("TONGGUAN_HOME", str(home))
    monkeypatch.setenv("TONGGUAN_PORT", "1002")
    monkeypatch.setenv("TONGGUAN_TOKEN_MINUTES", "12")
    settings = load_settings(port=1003)
    assert (settings.port, settings.token_minutes, settings.session_hours) == (1003, 12, 2)


def test_the_file_of_the_home_that_was_given_is_read_and_not_that_of_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TONGGUAN_HOME", str(write(tmp_path / "named", "port = 1001\n")))
    assert load_settings(home=write(tmp_path / "given", "port = 1002\n")).port == 1002
    write(default_home(), "port = 1004\n")
    assert load_settings().port == 1001
    monkeypatch.delenv("TONGGUAN_HOME")
    assert load_settings().port == 1004


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGGUAN_HOME", "")
    monkeypatch.setenv("TONGGUAN_PORT", "")
    assert load_settings().home == default_home()
    assert not home_is_named()
    monkeypatch.setenv("TONGGUAN_HOME", "/somewhere")
    assert home_is_named()


@pytest.mark.parametrize("name", ["TONGGUAN_HOMME", "TONGGUAN_", "tongguan_ports"])
def test_an_unknown_variable_is_refused_by_name_and_not_by_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "secret-value")
    with pytest.raises(BadInput, match=name) as refused:
        load_settings()
    assert refused.value.code == "unknown_setting"
    assert "secret-value" not in str(refused.value)


def test_the_variable_of_the_tests_is_not_taken_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGGUAN_SHARED_DATA", "/somewhere")
    assert load_settings().port == 8600


def test_an_unknown_key_of_the_file_is_refused_by_name() -> None:
    write(default_home(), "prot = 1\n")
    with pytest.raises(BadInput, match="prot") as refused:
        load_settings()
    assert refused.value.code == "unknown_setting"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "secret"),
        ("TOKEN_MINUTES", "0"),
        ("EPOCH_POLL_SECONDS", "1.5"),  # invariant 9: within a second
        ("EPOCH_POLL_SECONDS", "0"),
        ("OTLP_ENDPOINT", "file:///etc/passwd"),
        ("LOG_LEVEL", "chatty"),
        ("ORIGIN", "two words"),
    ],
)
def test_a_value_out_of_bounds_names_its_setting_and_hides_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"TONGGUAN_{name}", value)
    with pytest.raises(BadInput, match=name.lower()) as refused:
        load_settings()
    assert refused.value.code == "bad_setting"
    assert "secret" not in str(refused.value)


def test_a_broken_file_does_not_show_the_line_that_is_broken() -> None:
    write(default_home(), "database_url = 'postgresql://user:secret@\n")
    with pytest.raises(BadInput, match=r"settings\.toml") as refused:
        load_settings()
    assert "secret" not in str(refused.value)


def test_the_file_cannot_send_the_gateway_to_another_home(tmp_path: Path) -> None:
    write(default_home(), f"home = '{tmp_path}'\n")
    with pytest.raises(BadInput, match="cannot name another"):
        load_settings()


def test_the_database_password_is_not_in_what_is_printed() -> None:
    settings = load_settings(database_url="postgresql+psycopg://user:secret@db/tongguan")
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings)


def test_the_settings_page_is_what_the_settings_say(repository: Path) -> None:
    page = (repository / "docs" / "settings.md").read_text("utf-8")
    assert page == settings_page()
    assert all(
        f"TONGGUAN_{name.upper()}" in page and field.description for name, field in Settings.model_fields.items()
    )


def test_every_setting_is_read_by_something(repository: Path) -> None:
    code = [path.read_text("utf-8") for path in (repository / "gateway").rglob("*.py") if path.name != "settings.py"]
    everything = "\n".join(code)
    unread = [
        name
        for name in Settings.model_fields
        if f"settings.{name}" not in everything
        and f'settings["{name}"]' not in everything
        and f'settings.get("{name}"' not in everything
    ]
    assert unread == []
