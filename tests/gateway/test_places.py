"""The place of access comes from the house's table of networks, on every request, and from nothing the client says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gateway.api.app import create_app
from gateway.errors import BadInput
from gateway.places import check_places, place_of
from gateway.settings import load_settings
from tests.world import PASSWORD, make_world

TABLE = {"10.0.0.0/8": "mainland", "10.9.0.0/16": "hong_kong", "2001:db8::/32": "macau"}


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.1.2.3", "mainland"),
        ("10.9.2.3", "hong_kong"),
        ("::ffff:10.9.2.3", "hong_kong"),
        ("2001:db8::7", "macau"),
        ("192.0.2.1", "unknown"),
        ("2001:db9::7", "unknown"),
        ("not an address", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_narrowest_network_tells_the_place_and_all_else_is_unknown(address: str | None, place: str) -> None:
    assert place_of(address, TABLE) == place
    assert place_of(address, {}) == "unknown"


@pytest.mark.parametrize("table", [{"10.0.0.0/8": "here"}, {"10.0.0.1/8": "mainland"}, {"house": "mainland"}])
def test_a_table_that_cannot_be_read_is_refused(table: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(table))):
        check_places(table)


def test_the_table_is_read_from_settings_toml_and_a_wrong_one_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[places]\n"203.0.113.0/24" = "hong_kong"\n', "utf-8")
    assert load_settings(home=tmp_path).places == {"203.0.113.0/24": "hong_kong"}
    file.write_text('[places]\n"203.0.113.0/24" = "moon"\n', "utf-8")
    with pytest.raises(BadInput, match="places"):
        load_settings(home=tmp_path)


@pytest.mark.parametrize("listed", ["*", "0.0.0.0/0", "::/0", "127.0.0.1, *", "proxy.example"])
def test_no_wildcard_and_no_name_is_believed_as_a_proxy(tmp_path: Path, listed: str) -> None:
    with pytest.raises(BadInput, match="proxies"):
        load_settings(home=tmp_path, proxies=listed)
    assert load_settings(home=tmp_path, proxies="127.0.0.1, 10.0.0.0/8").proxies == "127.0.0.1, 10.0.0.0/8"


def test_in_a_real_home_the_network_decides_on_each_request_and_no_header_or_body_does(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    env = replace(world.env, demo=False, settings={**world.env.settings, "places": {"10.9.0.0/16": "hong_kong"}})
    app = create_app(env)
    said = {"login": "researcher", "password": PASSWORD, "place_of_access": "mainland"}
    places = []
    for address in ("10.9.0.5", "10.8.0.5"):
        with TestClient(app, client=(address, 50000)) as client:
            token = client.post("/tokens", json=said).json()["token"]
            headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "10.9.0.5", "Forwarded": "for=10.9.0.5"}
            places.append(client.get("/me", headers=headers).json()["place_of_access"])
    assert places == ["hong_kong", "unknown"]


def test_a_session_that_moves_is_seen_where_it_speaks_from_now(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    env = replace(world.env, demo=False, settings={**world.env.settings, "places": {"10.9.0.0/16": "hong_kong"}})
    app = create_app(env)
    with TestClient(app, client=("10.9.0.5", 50000)) as client:
        token = client.post("/tokens", json={"login": "researcher", "password": PASSWORD}).json()["token"]
    with TestClient(app, client=("192.0.2.9", 50000)) as client:
        answer = client.get("/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert answer["place_of_access"] == "unknown"
