"""Further signature lines: SM2 as the national standard has it, ML-DSA-44 as C2SP has it; neither counts as the log's own."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from typer.testing import CliRunner

from gateway.bootstrap import open_env
from gateway.cli.app import app
from gateway.env import Actor
from gateway.keys.further import ml_dsa_line, sm2_line, sm2_public, sm2_sign
from gateway.ledger import sign_checkpoint
from gateway.record import record_refused_act
from gateway.verifier import sm2, verify_log
from gateway.verifier.further import Sm2Key, parse_sm2_key, verify_sm2_line
from gateway.verifier.note import VerifierKey, checkpoint_text, parse_note, verify_checkpoint
from gateway.verifier.policy import (
    cosigned_at,
    cosigned_message,
    parse_policy,
    parse_witness_key,
    verify_cosignature,
)
from tests.gateway.verifier.test_rotation import Seeded
from tests.world import ENGINES, Random, World

# GB/T 32918.5-2017, annex A.2.
SECRET = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
PUBLIC = bytes.fromhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
DIGEST = 0xF0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640
SIGNATURE = bytes.fromhex(
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
MESSAGE = b"message digest"
ORIGIN = "gateway.example/provisions"
TEXT = checkpoint_text(origin=ORIGIN, size=7, root=bytes(32))
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


def test_sm3_gives_the_standards_own_digests() -> None:
    """GB/T 32905-2016, annex A."""
    assert sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm2.sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


def test_sm2_gives_the_standards_own_key_digest_and_signature() -> None:
    assert sm2_public(SECRET) == PUBLIC
    assert sm2.digest(PUBLIC, MESSAGE) == DIGEST
    assert sm2_sign(SECRET, MESSAGE, NONCE) == SIGNATURE
    sm2.verify(PUBLIC, MESSAGE, SIGNATURE)


@pytest.mark.parametrize("place", range(0, 64, 7))
def test_a_changed_byte_of_signature_message_or_key_is_refused(place: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[place] ^= 1
    with pytest.raises(ValueError, match="SM2"):
        sm2.verify(PUBLIC, MESSAGE, bytes(changed))
    with pytest.raises(ValueError, match="SM2"):
        sm2.verify(PUBLIC, MESSAGE + b".", SIGNATURE)
    key = bytearray(PUBLIC)
    key[1 + place] ^= 1
    with pytest.raises(ValueError, match="point"):
        sm2.verify(bytes(key), MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    "wrong", [b"", SIGNATURE[:63], SIGNATURE + b"\0", bytes(64), b"\xff" * 64, SIGNATURE[:32] + bytes(32)]
)
def test_numbers_outside_their_range_are_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="SM2"):
        sm2.verify(PUBLIC, MESSAGE, wrong)


def test_openssl_accepts_what_we_sign_with_sm2(tmp_path: Path) -> None:
    """Another implementation: OpenSSL's SM2, with the same identifier."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command")
    key, message, signature = tmp_path / "key.pem", tmp_path / "message", tmp_path / "signature"
    point = "3059301306072a8648ce3d020106082a811ccf5501822d034200"
    der = bytes.fromhex(point) + PUBLIC
    subprocess.run(
        ["openssl", "pkey", "-pubin", "-inform", "DER", "-out", key], input=der, check=True, capture_output=True
    )
    message.write_bytes(TEXT)
    made = sm2_sign(SECRET, TEXT, NONCE)
    assert made is not None
    parts = [part.lstrip(b"\0") for part in (made[:32], made[32:])]
    numbers = b"".join(b"\x02" + bytes([len(one) + (one[0] >> 7)]) + b"\0" * (one[0] >> 7) + one for one in parts)
    signature.write_bytes(b"\x30" + bytes([len(numbers)]) + numbers)
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        key,
        "-rawin",
        "-in",
        message,
        "-sigfile",
        signature,
    ]
    options = ["-digest", "sm3", "-pkeyopt", f"distid:{sm2.SIGNER.decode()}"]
    assert subprocess.run([*command, *options], capture_output=True, check=False).returncode == 0
    message.write_bytes(TEXT + b"x")
    assert subprocess.run([*command, *options], capture_output=True, check=False).returncode != 0


def test_an_sm2_line_is_found_by_its_key_and_by_no_other() -> None:
    key, line = sm2_line(ORIGIN, bytes(32), Random().token)
    other, _ = sm2_line(ORIGIN, b"\x01" * 32, Random().token)
    signed = sign_checkpoint(Seeded(1), size=7, root=bytes(32)) + line(TEXT, NOW)
    assert parse_sm2_key(str(key)) == key
    verify_sm2_line(signed, key)
    with pytest.raises(ValueError, match="no SM2 line"):
        verify_sm2_line(signed, other)
    with pytest.raises(ValueError, match="does not verify"):
        verify_sm2_line(signed.replace(b"\n7\n", b"\n8\n"), key)
    assert verify_checkpoint(signed, Seeded(1).vkey).size == 7, "and the log's own line is judged as before"


@pytest.mark.parametrize("text", ["", "a+b", f"x+00000000+{'A' * 8}", str(Seeded(1).vkey)])
def test_what_is_no_sm2_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_sm2_key(text)
    good, _ = sm2_line(ORIGIN, bytes(32), Random().token)
    with pytest.raises(ValueError, match="hash of its name"):
        parse_sm2_key(str(Sm2Key(name="other", public_key=good.public_key)).replace("other+", "another+"))


def test_the_ml_dsa_message_is_laid_out_as_the_specification_says() -> None:
    """tlog-cosignature, "ML-DSA-44 signed message", written out by hand."""
    key, _ = ml_dsa_line("w.example/1", bytes(32))
    by_hand = (
        b"subtree/v1\n\x00" + b"\x0bw.example/1" + (1679315147).to_bytes(8, "big") + b"\x1a" + ORIGIN.encode()
        + (0).to_bytes(8, "big") + (7).to_bytes(8, "big") + bytes(32)
    )  # fmt: skip
    assert cosigned_message(TEXT, 1679315147, key) == by_hand


def test_an_ml_dsa_line_counts_where_a_policy_names_its_key_and_a_changed_byte_refuses() -> None:
    key, line = ml_dsa_line(ORIGIN, bytes(range(32)))
    assert parse_witness_key(str(key)) == key
    signed = sign_checkpoint(Seeded(1), size=7, root=bytes(32)) + line(TEXT, NOW)
    policy = parse_policy(f"log {Seeded(1).vkey}\nwitness M {key}\nquorum M\n")
    assert cosigned_at(parse_note(signed), policy.witnesses["M"]) == int(NOW.timestamp())
    value = parse_note(signed).signatures[-1].value
    assert len(value) == 8 + 2420
    for place in (0, 7, 8, 500, 2427):
        changed = bytearray(value)
        changed[place] ^= 1
        with pytest.raises(ValueError, match="does not verify"):
            verify_cosignature(TEXT, key, bytes(changed))
    with pytest.raises(ValueError, match="bytes long"):
        verify_cosignature(TEXT, key, value[:72])
    public = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))).public_key()
    public.verify(value[8:], cosigned_message(TEXT, int(NOW.timestamp()), key))


def test_a_line_stands_on_checkpoints_only_where_the_settings_want_it_and_never_for_the_logs_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = Actor(person_id="0" * 32, institution_id="", unit="", roles=frozenset(), place_of_access="mainland")
    home = world.settings.home
    plain = parse_note((home / "ledger" / "checkpoint").read_bytes())
    assert len(plain.signatures) == 1, "off unless it is named"
    assert not list((home / "keys").glob("ledger-sm2*"))
    env, engine = open_env(world.settings.model_copy(update={"further_lines": "ml-dsa,sm2"}))
    ENGINES.append(engine)
    env.uow.run(lambda tx: record_refused_act(tx, env, actor, act="a", about="x", rules=()))
    env.ledger.sync()
    signed = (home / "ledger" / "checkpoint").read_bytes()
    assert len(parse_note(signed).signatures) == 3
    assert verify_log(home / "ledger", key=None).state == "proven", "unknown lines are ignored"
    monkeypatch.setenv("TONGGUAN_HOME", str(home))
    monkeypatch.setenv("TONGGUAN_FURTHER_LINES", "ml-dsa,sm2")
    told = CliRunner().invoke(app, ["ledger", "further-keys"]).stdout.splitlines()
    assert cosigned_at(parse_note(signed), parse_witness_key(told[0])) is not None
    verify_sm2_line(signed, parse_sm2_key(told[1]))
    checkpoint = str(home / "ledger" / "checkpoint")
    assert CliRunner().invoke(app, ["ledger", "check-sm2", checkpoint, "--key", told[1]]).exit_code == 0
    only = b"\n\n".join([signed.split(b"\n\n")[0], signed.split(b"\n\n")[1].split(b"\n", 1)[1]])
    own = VerifierKey(name=env.ledger.origin, public_key=env.ledger.keys().current.public_key)
    with pytest.raises(ValueError, match="not signed by this key"):
        verify_checkpoint(only, own)
