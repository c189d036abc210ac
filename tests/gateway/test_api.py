"""The REST door: who may pass, what errors look like, ranges, and revocation on the wire."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from starlette.testclient import TestClient

from gateway.api.app import create_app
from gateway.bootstrap import open_env
from gateway.machine import SystemClock
from tests.world import PASSWORD, World


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(create_app(world.env), raise_server_exceptions=False) as made:
        yield made


def token(client: TestClient, login: str, place: str = "hong_kong") -> dict[str, str]:
    answer = client.post("/tokens", json={"login": login, "password": PASSWORD, "place_of_access": place})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def available(client: TestClient, world: World) -> tuple[str, dict[str, str], dict[str, object]]:
    released = world.release(world.ids["item"])
    headers = token(client, "researcher")
    entry = client.get(f"/releases/{released['id']}/files", headers=headers).json()[0]
    return f"/releases/{released['id']}/files/{entry['name']}", headers, entry


def test_every_route_but_the_open_ones_needs_a_token(client: TestClient) -> None:
    open_routes = {("POST", "/tokens"), ("GET", "/catalogue")}
    paths = client.get("/openapi.json").json()["paths"]
    checked = 0
    for path, methods in paths.items():
        for method in methods:
            if (method.upper(), path) in open_routes:
                continue
            answer = client.request(method.upper(), re.sub(r"\{[^}]+\}", "0" * 32, path), json={})
            assert answer.status_code in {401, 422}, (method, path, answer.status_code)
            if answer.status_code == 422:
                assert answer.json()["code"] == "bad_request"
            checked += 1
    assert checked >= 20


def test_a_bad_token_a_bad_password_and_an_unknown_login_look_alike(client: TestClient) -> None:
    for header in ("Bearer tg_nothing", "Bearer ", "Basic abc", "Bearer a b"):
        assert client.get("/me", headers={"Authorization": header}).status_code == 401
    wrong = client.post("/tokens", json={"login": "researcher", "password": "not the password"})
    unknown = client.post("/tokens", json={"login": "nobody", "password": "not the password"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


def test_a_signed_out_token_is_dead(client: TestClient) -> None:
    headers = token(client, "researcher")
    assert client.get("/me", headers=headers).json()["roles"] == ["researcher"]
    assert client.delete("/session", headers=headers).status_code == 204
    assert client.get("/me", headers=headers).status_code == 401


def test_what_belongs_to_others_does_not_exist(client: TestClient, world: World) -> None:
    link, _, _ = available(client, world)
    rival = token(client, "rival")
    foreign = client.get(link, headers=rival)
    nothing = client.get(re.sub(r"releases/[0-9a-f]+", "releases/" + "0" * 32, link), headers=rival)
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.json() == nothing.json()


def test_ranges_resume_under_the_same_etag(client: TestClient, world: World) -> None:
    link, headers, entry = available(client, world)
    head = client.get(link, headers={**headers, "Range": "bytes=0-99"})
    assert (head.status_code, head.headers["Content-Range"]) == (206, f"bytes 0-99/{entry['size']}")
    etag = head.headers["ETag"]
    rest = client.get(link, headers={**headers, "Range": "bytes=100-", "If-Range": etag})
    whole = client.get(link, headers=headers)
    assert whole.content == head.content + rest.content
    assert rest.status_code == 206
    assert client.get(link, headers={**headers, "Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200
    assert client.get(link, headers={**headers, "Range": f"bytes={entry['size']}-"}).status_code == 416
    assert client.get(link, headers={**headers, "Range": "bytes=-5"}).content == whole.content[-5:]
    release = world.env.uow.read(lambda tx: tx.find("release", state="closed"))
    assert len(release) == 1, "every byte went once, so the release is complete and closed"
    assert len(world.entries("release.close")) >= 1


def test_inv09_after_revocation_the_same_link_is_403_and_nothing_streams(client: TestClient, world: World) -> None:
    link, headers, _ = available(client, world)
    assert client.get(link, headers={**headers, "Range": "bytes=0-9"}).status_code == 206
    steward = token(client, "steward", "mainland")
    assert (
        client.post(f"/grants/{world.ids['grant:' + world.ids['item']]}/revocation", headers=steward).status_code == 201
    )
    refused = client.get(link, headers={**headers, "Range": "bytes=0-9"})
    assert refused.status_code == 403
    assert refused.json()["rules"] == ["GW-10"]


def test_another_place_of_access_is_refused(client: TestClient, world: World) -> None:
    link, _, _ = available(client, world)
    elsewhere = token(client, "researcher", "overseas")
    answer = client.get(link, headers=elsewhere)
    assert (answer.status_code, answer.json()["rules"]) == (403, ["GW-13"])


def test_a_guard_without_news_lets_no_byte_leave(client: TestClient, world: World) -> None:
    link, headers, _ = available(client, world)
    guard = client.app.state.guard  # type: ignore[attr-defined]
    guard.stop()
    guard._heard = float("-inf")
    answer = client.get(link, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("days", [-1, 1], ids=["back", "forward"])
def test_a_clock_set_by_a_day_is_503_and_no_byte_leaves_until_it_is_right(world: World, days: int) -> None:
    """The clock of the house is a machine's: it can be set, and how long the machine has run cannot."""
    env, engine = open_env(world.settings, clock=SystemClock(lambda: world.clock.now().timestamp(), time.monotonic))
    with TestClient(create_app(env), raise_server_exceptions=False) as client:
        link, headers, _ = available(client, world)
        world.clock.moved += timedelta(days=days)
        for ask in (partial(client.get, link), partial(client.get, "/me"), partial(client.get, "/applications")):
            answer = ask(headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
        world.clock.moved -= timedelta(days=days)
        assert client.get(link, headers=headers).status_code == 200
    engine.dispose()


def test_a_gateway_started_with_a_clock_before_the_last_entry_hands_nothing_over(
    client: TestClient, world: World
) -> None:
    link, headers, _ = available(client, world)
    world.clock.moved -= timedelta(hours=1)
    answer = client.get(link, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "clock" in answer.json()["detail"]
    world.clock.moved += timedelta(hours=1)
    assert client.get(link, headers=headers).status_code == 200


def test_inv18_errors_repeat_no_value_and_hold_no_trace(client: TestClient) -> None:
    """Invariant 18, for error texts."""
    headers = token(client, "researcher")
    body = {"login": "x", "SECRETFIELD": "SECRETVALUE", "password": ["SECRETVALUE"]}
    for answer in (
        client.post("/tokens", json=body),
        client.post("/applications", json={"purpose": "SECRETVALUE"}, headers=headers),
        client.post("/policy/explain", json={"facts": {"grant": {"state": ["SECRETVALUE"]}}}, headers=headers),
    ):
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert "SECRETVALUE" not in answer.text
        assert "Traceback" not in answer.text


def test_unknown_fields_change_nothing(client: TestClient) -> None:
    headers = token(client, "researcher")
    answer = client.post("/releases", json={"item_id": "a", "view_id": "b", "state": "available"}, headers=headers)
    assert answer.status_code == 422


def test_a_receipt_proves_the_release_offline(
    client: TestClient, world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from gateway.verifier.verify import verify_log

    link, headers, _ = available(client, world)
    receipt = client.get(link.split("/files")[0] + "/receipt", headers=headers).content
    assert receipt.startswith(b"c2sp.org/tlog-proof@v1\n")
    verdict = verify_log(world.settings.home / "ledger", key=None, receipts=[receipt])
    assert verdict.state == "proven"


def test_roles_guard_the_acts(client: TestClient, world: World) -> None:
    researcher = token(client, "researcher")
    for path, body in (
        ("/datasets", {"root": "/"}),
        ("/datasets/scan", {"root": "/"}),
        ("/people", {"login": "x", "name": "x", "institution_id": "x", "unit": "x", "password": "x" * 12}),
        ("/filings", {"kind": "backup", "number": "1", "dataset_id": world.ids["dataset"]}),
        (f"/datasets/{world.ids['dataset']}/withdrawals", {"participant": "HOSP0001"}),
    ):
        answer = client.post(path, json=body, headers=researcher)
        assert answer.status_code == 403, path
        assert answer.json()["rules"]
