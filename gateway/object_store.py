"""Open the object store that keeps the published log: one TOML file says which, and holds its secret.

Only what speaks S3: Alibaba OSS, Huawei OBS and Tencent COS ask for the bucket in the host's name
(``bucket_in_host = true``), most stores of one's own do not.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.errors import BadInput
from gateway.object_log import ObjectLogFiles

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MINE = 0o077
TIMEOUT, GIVEN_UP = timedelta(seconds=10), timedelta(seconds=20)


class StoreFile(BaseModel):
    """What the file says; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(default="tongguan", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    endpoint: str = Field(pattern=r"^https?://[^/?#@]+$")
    region: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    bucket_in_host: bool = False
    access_key_id: str = Field(min_length=1)
    secret_access_key: str = Field(min_length=1, repr=False)

    @field_validator("endpoint")
    @classmethod
    def _is_private(cls, value: str) -> str:
        if value.startswith("http://") and urlsplit(value).hostname not in _LOOPBACK:
            raise ValueError("must begin with https://")
        return value

    @model_validator(mode="after")
    def _has_a_name(self) -> StoreFile:
        if self.bucket_in_host and _is_address(urlsplit(self.endpoint).hostname or ""):
            raise ValueError("bucket_in_host needs an endpoint with a name, not an address")
        return self


def read_store(path: Path) -> StoreFile:
    """The file, checked. Raises BadInput naming what is wrong, never its value."""
    try:
        if path.stat().st_mode & _MINE:
            raise BadInput(f"{path}: holds a secret, so it must be readable by its owner alone (chmod 600)")
        said: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return StoreFile(**said)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BadInput(f"{path}: {place}: {first['msg']}", code="bad_setting") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", code="bad_setting") from None
    except ValueError:
        # What the reader of TOML says quotes the line, and the line may hold the secret.
        raise BadInput(f"{path}: cannot be read as TOML", code="bad_setting") from None


def object_logs(path: Path, token: str) -> Callable[[str, Path], ObjectLogFiles]:
    """What opens a log by its name in that store, with the lock that keeps this machine's writers apart.

    ``token`` is random: the name of what is written and removed to try the store.
    """
    said = read_store(path)
    store = S3Store(
        said.bucket,
        prefix=said.prefix,
        endpoint=_endpoint(said),
        region=said.region,
        virtual_hosted_style_request=said.bucket_in_host,
        access_key_id=said.access_key_id,
        secret_access_key=said.secret_access_key,
        client_options={"allow_http": said.endpoint.startswith("http://"), "timeout": TIMEOUT},
        retry_config={"max_retries": 2, "retry_timeout": GIVEN_UP},
    )
    place = f"s3://{said.bucket}/{said.prefix}"
    return lambda name, lock: ObjectLogFiles(store, name, place=place, lock=lock, token=token)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _endpoint(said: StoreFile) -> str:
    """With the bucket in the host's name where the store wants it there: the client takes the address as it is."""
    if not said.bucket_in_host:
        return said.endpoint
    scheme, _, host = said.endpoint.partition("://")
    return f"{scheme}://{said.bucket}.{host}"
