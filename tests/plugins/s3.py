"""A real S3 server for tests: OpenStack Swift with its S3 interface, on loopback, in one temporary folder.

Four processes (proxy, account, container, object), one device, one copy of everything. Swift keeps its metadata in
extended attributes of files, so the temporary folder must be on a file system that has them.
"""

from __future__ import annotations

import base64
import hmac
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.plugins.postgres import _end_with_us

READY_SECONDS = 30.0
KEY, SECRET, REGION = "test:tester", "testing", "us-east-1"
KINDS = ("account", "container", "object")
PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:slo]
use = egg:swift#slo
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:catch_errors]
use = egg:swift#catch_errors
"""
START = "import sys; from swift.{module}.server import main; main()"

# In a process of its own: Swift brings a loop that wants to know of every fork of ours.
RINGS = """
import sys
from swift.common.ring import RingBuilder
for given in sys.argv[1:]:
    place, port = given.split("=")
    made = RingBuilder(1, 1, 1)
    made.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "one", "weight": 1})
    made.rebalance()
    made.get_ring().save(place)
"""


class S3Server:
    """One server; ``bucket`` makes a fresh bucket and says how to open it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tongguan-s3-"))
        self._ports = dict(zip(("proxy", *KINDS), _free_ports(4), strict=True))
        self._made = 0
        self._write()
        self._processes = [self._start(kind) for kind in (*KINDS, "proxy")]
        self._wait()

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def bucket(self) -> str:
        """A new bucket, made by a request signed as S3's second version asks (``obstore`` makes objects only)."""
        self._made += 1
        name, date = f"bucket-{self._made}", formatdate(usegmt=True)
        signed = hmac.digest(SECRET.encode(), f"PUT\n\n\n{date}\n/{name}".encode(), "sha1")
        head = {"Date": date, "Authorization": f"AWS {KEY}:{base64.b64encode(signed).decode()}"}
        made = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT", headers=head)  # noqa: S310  loopback
        urllib.request.urlopen(made).close()  # noqa: S310
        return name

    def stop(self) -> None:
        """End the processes and remove the folder."""
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self) -> None:
        (self.folder / "disk" / "one").mkdir(parents=True)
        (self.folder / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = tests\n[storage-policy:0]\nname = one\ndefault = yes\n"
        )
        for kind in KINDS:
            body = f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
            (self.folder / f"{kind}.conf").write_text(self._head(kind) + body)
        rings = [f"{self.folder / kind}.ring.gz={self._ports[kind]}" for kind in KINDS]
        subprocess.run([sys.executable, "-c", RINGS, *rings], check=True)
        (self.folder / "proxy.conf").write_text(self._head("proxy") + PROXY)

    def _head(self, kind: str) -> str:
        user = subprocess.run(["/usr/bin/id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        return (
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {self._ports[kind]}\nworkers = 0\nuser = {user}\n"
            f"swift_dir = {self.folder}\ndevices = {self.folder / 'disk'}\nmount_check = false\nlog_level = ERROR\n"
        )

    def _start(self, kind: str) -> subprocess.Popen[bytes]:
        module = "obj" if kind == "object" else kind
        with (self.folder / f"{kind}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", START.format(module=module), self.folder / f"{kind}.conf"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_us,  # noqa: PLW1509  no threads of ours run here
            )

    def _wait(self) -> None:
        end = time.monotonic() + READY_SECONDS
        for port in self._ports.values():
            while time.monotonic() < end:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            else:
                raise RuntimeError(f"the S3 server did not start; its output is in {self.folder}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server, started when the first test asks."""
    server = S3Server()
    yield server
    server.stop()
