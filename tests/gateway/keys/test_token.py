"""The log's key in a PKCS#11 token: it signs, it cannot leave, and without it nothing is confirmed (softhsm2)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.bootstrap import make_home, open_env
from gateway.env import Actor, Env
from gateway.errors import BadInput, LedgerUnavailable
from gateway.key_rotation import rotate_log_key
from gateway.keys.port import KeyName
from gateway.keys.token import TokenKeys, open_token
from gateway.record import record_refused_act
from gateway.settings import Settings
from gateway.verifier import verify_log
from tests.world import ENGINES, Random, World

PIN = "5678"
MODULE = next(
    (p for p in map(Path, ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so")) if p.exists()), None
)
# The tests tear the library away under open sessions, as a hand tears a token out; the package then grumbles when it
# collects what it left.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ACTOR = Actor(person_id="0" * 32, institution_id="", unit="", roles=frozenset(), place_of_access="mainland")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tokens; the library reads its configuration once, so all tests of this process share it."""
    if MODULE is None or shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2 is not on this machine")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(config)
    return folder


@pytest.fixture
def token(tokens: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A fresh token named for the test, as settings."""
    label = request.node.name[:32]
    command = ("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "1234", "--pin", PIN)
    subprocess.run(command, check=True, capture_output=True)
    pkcs11.lib(str(MODULE)).reinitialize()
    pin = tokens / "pin"
    pin.write_text(f"{PIN}\n")
    pin.chmod(0o600)
    return {"pkcs11_module": MODULE, "pkcs11_token": label, "pkcs11_pin_file": pin}


def opened(token: dict[str, Any], tmp_path: Path) -> TokenKeys:
    made = open_token(token["pkcs11_module"], token["pkcs11_token"], token["pkcs11_pin_file"])
    return TokenKeys(tmp_path / "keys", Random(), made)


def act(env: Env) -> int:
    env.uow.run(lambda tx: record_refused_act(tx, env, ACTOR, act="a", about="x", rules=()))
    return env.ledger.sync()


def test_the_tokens_key_signs_what_an_independent_verifier_accepts_and_stays_the_same(
    token: dict[str, Any], tmp_path: Path
) -> None:
    keys = opened(token, tmp_path)
    keys.create_all()
    keys.create_all()
    assert list(keys.versions(KeyName.LEDGER_SIGNING)) == [1], "a second run makes no second key"
    signer = keys.ledger_signer("log.example/a")
    Ed25519PublicKey.from_public_bytes(signer.public_key).verify(signer.sign(b"a head"), b"a head")
    assert opened(token, tmp_path).ledger_signer("log.example/a").public_key == signer.public_key
    assert not list((tmp_path / "keys").glob("ledger-signing*")), "and no file holds one"
    assert keys.secret(KeyName.TOKEN), "the other keys are where they were"


def test_the_key_cannot_be_read_out_of_the_token(token: dict[str, Any], tmp_path: Path) -> None:
    opened(token, tmp_path).create_all()
    found = pkcs11.lib(str(MODULE)).get_token(token_label=token["pkcs11_token"])
    with found.open() as session:
        (key,) = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        assert (key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.EXTRACTABLE]) == (True, False)
        with pytest.raises(pkcs11.PKCS11Error):
            assert key[pkcs11.Attribute.VALUE]


def test_a_home_whose_key_is_in_a_token_is_proven_by_the_same_verifier(token: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", **token)
    home = make_home(settings, demo=False)
    env, engine = open_env(settings)
    ENGINES.append(engine)
    assert act(env) == 1
    made = rotate_log_key(env)
    assert act(env) == 3
    assert list(env.keys.versions(KeyName.LEDGER_SIGNING)) == [1, 2]
    for key in (made.old, made.new):
        assert verify_log(home.ledger, key=str(key)).state == "proven"


def test_a_home_with_a_key_file_goes_on_with_it_and_hands_over_to_the_token(
    token: dict[str, Any], world: World
) -> None:
    before = world.env.ledger.keys().current
    settings = world.settings.model_copy(update=token)
    env, engine = open_env(settings)
    ENGINES.append(engine)
    act(env)
    assert env.ledger.keys().current == before
    made = rotate_log_key(env)
    (world.settings.home / "keys" / "ledger-signing.v1").unlink()
    again, engine = open_env(settings)
    ENGINES.append(engine)
    size = act(again)
    assert again.ledger.keys().current == made.new
    verdict = verify_log(settings.home / "ledger", key=str(before))
    assert (verdict.state, verdict.size) == ("proven", size)


def test_a_token_that_is_taken_away_stops_the_ledger_and_signs_again_when_it_is_back(
    token: dict[str, Any], tokens: Path, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "home", **token)
    make_home(settings, demo=False)
    env, engine = open_env(settings)
    ENGINES.append(engine)
    signed = act(env)
    held = tokens / "elsewhere"
    (tokens / "tokens").rename(held)
    (tokens / "tokens").mkdir()
    pkcs11.lib(str(MODULE)).reinitialize()
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        act(env)
    assert env.ledger.file("checkpoint").split(b"\n")[1] == str(signed).encode()
    (tokens / "tokens").rmdir()
    held.rename(tokens / "tokens")
    pkcs11.lib(str(MODULE)).reinitialize()
    assert env.ledger.sync() == signed + 1


@pytest.mark.parametrize("wrong", ["pin", "token", "module", "readable", "missing"])
def test_a_token_that_cannot_be_opened_says_so_and_never_the_pin(
    token: dict[str, Any], tmp_path: Path, wrong: str
) -> None:
    pin = tmp_path / "pin"
    pin.write_text("0000" if wrong == "pin" else PIN)
    pin.chmod(0o644 if wrong == "readable" else 0o600)
    given = {**token, "pkcs11_pin_file": None if wrong == "missing" else pin}
    given |= {"token": {"pkcs11_token": "another"}, "module": {"pkcs11_module": tmp_path / "no.so"}}.get(wrong, {})
    with pytest.raises((BadInput, LedgerUnavailable)) as error:
        opened(given, tmp_path).versions(KeyName.LEDGER_SIGNING)
    assert PIN not in str(error.value)
