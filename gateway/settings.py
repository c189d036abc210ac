"""Every setting, in one place: environment variables with the prefix ``TONGGUAN_`` and the file
``settings.toml`` in the home.

The environment wins over the file. A variable with our prefix that is not a setting is refused by name: a
misspelt switch
must not silently leave a door as it was. Nothing else in the gateway reads the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from gateway.errors import BadInput

PREFIX = "TONGGUAN_"
TESTING = frozenset({"TONGGUAN_SHARED_DATA"})
"""Read by the tests alone."""


def default_home() -> Path:
    """The user's data directory (XDG base directory specification)."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "tongguan"


class Settings(BaseSettings):
    """All settings with their defaults; ``docs/settings.md`` lists them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid")

    home: Path = Field(default_factory=default_home, description="Folder of database, keys, staging, views and ledger")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in the home")
    host: str = Field(
        default="127.0.0.1", description="Address the server listens on; a demo home allows loopback only"
    )
    port: int = Field(default=8600, ge=1, le=65535, description="Port the server listens on")
    origin: str = Field(default="", description="Ledger origin; empty means the one the home was made with")
    token_minutes: int = Field(default=60, ge=1, le=1440, description="Life of a bearer token, in minutes")
    session_hours: int = Field(default=12, ge=1, le=168, description="Life of a session, in hours")
    otlp_endpoint: str = Field(default="", description="OTLP/HTTP traces endpoint; empty means no traces are sent")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit values, then the environment, then ``settings.toml`` of the home."""
        del dotenv_settings, file_secret_settings
        home = Path(os.environ.get(PREFIX + "HOME") or default_home())
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, home / "settings.toml")


def home_is_named() -> bool:
    """Whether the environment names a home; the demo then tells its story there and not in a fresh folder."""
    return bool(os.environ.get(PREFIX + "HOME"))


def load_settings(**given: Any) -> Settings:
    """Read and check. Raises BadInput naming the variable or key that is wrong."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | TESTING
    strange = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if strange:
        raise BadInput(f"{strange[0]} is not a setting; see docs/settings.md", code="unknown_setting")
    try:
        return Settings(**given)
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {}
        place = ".".join(str(part) for part in first.get("loc", ())) or "settings.toml"
        raise BadInput(f"setting {place}: {first.get('msg', 'cannot be read')}", code="bad_setting") from None
