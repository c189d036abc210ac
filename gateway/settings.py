"""Every setting, in one place: the environment (``TONGGUAN_...``) and the file ``settings.toml`` in the home.

Explicit values win over the environment, the environment over the file. A variable with our prefix, or a key of the
file, that is not a setting is refused by name: a misspelt switch must not silently leave a door as it was.
Nothing else in the gateway reads the environment. Whether a home is a demo or a real one is no setting: the home itself
carries that mark for good (``gateway.home``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from gateway.errors import BadInput
from gateway.places import check_places, check_proxies

PREFIX = "TONGGUAN_"
FILE = "settings.toml"
TESTING = frozenset({"TONGGUAN_SHARED_DATA"})
"""Read by the tests alone."""


def default_home() -> Path:
    """The user's data directory (XDG base directory specification)."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "tongguan"


def default_session() -> Path:
    """In the user's configuration directory (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "tongguan" / "session.json"


class Settings(BaseSettings):
    """All settings with their defaults; ``docs/settings.md`` is made from these descriptions."""

    # An empty variable counts as not set: TONGGUAN_HOME="" must not mean the current folder.
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Path = Field(
        default_factory=default_home, description="Folder of database, keys, staging, views, ledger and `settings.toml`"
    )
    database_url: str = Field(
        default="", repr=False, description="SQLAlchemy URL of a PostgreSQL database; empty means SQLite in the home"
    )
    host: str = Field(
        default="127.0.0.1", description="Address the server listens on; a demo home allows loopback only"
    )
    port: int = Field(default=8600, ge=1, le=65535, description="Port the server listens on")
    server: str = Field(
        default="http://127.0.0.1:8600",
        pattern=r"^https?://\S+$",
        description="Gateway that the commands of people talk to, where `tongguan login` named none",
    )
    session_file: Path = Field(
        default_factory=default_session, description="Where `tongguan login` keeps the token, readable by you alone"
    )
    places: dict[str, str] = Field(
        default={},
        description="Networks whose place the house knows, `192.0.2.0/24` to mainland, hong_kong, macau or overseas; "
        "every other address is unknown, which holds. A demo home takes the place said at sign-in",
    )
    proxies: str = Field(
        default="",
        description="Addresses of reverse proxies whose X-Forwarded-For is believed, with commas; empty believes none",
    )
    origin: str = Field(
        default="", pattern=r"^[^\s+]*$", description="Ledger origin of a new home; empty means one is made up for it"
    )
    witness_policy: str = Field(
        default="",
        description="A tlog-policy file with the witnesses' keys and addresses; with it nothing is handed over before "
        "enough of them have cosigned. Empty means no witnesses",
    )
    journal: Path | None = Field(
        default=None,
        description="Folder off this machine, there beforehand, for the sealed journal that a restored backup is "
        "brought up from; unset means that a restore loses what came after the backup",
    )
    ledger_store: Path | None = Field(
        default=None,
        description="File (0600) that says which object store keeps the published ledger (docs/object-store.md); unset "
        "means the home",
    )
    ledger_retention_years: int = Field(
        default=10,
        ge=3,
        description="Whole years that a former year's ledger is kept before it may be retired (PIPL art. 56 and the "
        "network data regulation art. 12 ask for three)",
    )
    further_lines: str = Field(
        default="",
        pattern=r"^$|^(ml-dsa|sm2)(,(ml-dsa|sm2))?$",
        description="Further signature lines on each checkpoint: `ml-dsa`, `sm2`, or both with a comma; empty: none",
    )
    sm3_root: bool = Field(
        default=False,
        description="Keep a second tree over SM3 beside the ledger, its root signed with SM2, for assessments of "
        "commercial cryptography",
    )
    pkcs11_module: Path | None = Field(
        default=None,
        description="PKCS#11 library of the token that keeps the ledger's signing key; unset means a file in the home",
    )
    pkcs11_token: str = Field(default="tongguan", description="Label of that token")
    pkcs11_pin_file: Path | None = Field(
        default=None, description="File (0600) with that token's PIN; needed where a token is named"
    )
    token_minutes: int = Field(default=60, ge=1, le=1440, description="Life of a bearer token, in minutes")
    session_hours: int = Field(default=12, ge=1, le=168, description="Life of a session, in hours")
    epoch_poll_seconds: float = Field(
        default=0.5, gt=0, le=1, description="How often each process looks for withdrawals and revocations, in seconds"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important log line that is written"
    )
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^$|^https?://\S+$",
        description="OTLP/HTTP traces endpoint, whole URL; empty means no traces are sent",
    )

    _places = field_validator("places")(check_places)
    _proxies = field_validator("proxies")(check_proxies)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit values, then the environment, then ``settings.toml`` of the home that those two name."""
        del dotenv_settings, file_secret_settings
        named = init_settings().get("home") or env_settings().get("home")
        file = TomlConfigSettingsSource(settings_cls, Path(named or default_home()) / FILE)
        if "home" in file():
            raise BadInput(f"{FILE} lies in the home, so it cannot name another one", code="bad_setting")
        return init_settings, env_settings, file


def home_is_named() -> bool:
    """Whether the environment names a home; the demo then tells its story there and not in a fresh folder."""
    return bool(os.environ.get(PREFIX + "HOME"))


def load_settings(**given: Any) -> Settings:
    """Read and check. Raises BadInput naming the variable or key that is wrong, never its value."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | TESTING
    strange = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if strange:
        raise BadInput(f"{strange[0]} is not a setting; see docs/settings.md", code="unknown_setting")
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadInput(
                f"{place} in {FILE} is not a setting; see docs/settings.md", code="unknown_setting"
            ) from None
        raise BadInput(f"setting {place}: {first['msg']}", code="bad_setting") from None
    except (ValueError, OSError):
        # What the reader of TOML says quotes the line, and the line may hold a password.
        raise BadInput(f"{FILE} of the home cannot be read as TOML", code="bad_setting") from None


def settings_page() -> str:
    """The text of ``docs/settings.md``."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = (
            "the user's own directories"
            if field.default_factory
            else f"`{field.default}`"
            if field.default not in ("", None, {})
            else ""
        )
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join([*_PAGE, *rows, ""])


_PAGE = (
    "# Settings",
    "",
    "Each setting is an environment variable or, in lower case and without the prefix, a key of `settings.toml` in the",
    "home: `TONGGUAN_TOKEN_MINUTES=30` is `token_minutes = 30`. An explicit option of a command wins over the",
    "environment, the environment over the file. A variable or key that is not in this table is refused by name.",
    "`TONGGUAN_SHARED_DATA` is read by the tests alone. This page is made from `gateway/settings.py`.",
    "",
    "| variable | default | what it is |",
    "|---|---|---|",
)
