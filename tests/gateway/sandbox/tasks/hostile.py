"""Tasks that try what a parser in a stranger's hands would try; run only inside the sandbox's child."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SECRET = "NA12878 chr1:12345 A/G"


class OwnError(Exception):
    """A refusal of ours: module and code say so."""

    code = "broken_header"


class CodedByChance(Exception):
    code = 7


def outcome(act: Any) -> str:
    try:
        result = act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    except ValueError as error:  # what the resource module makes of EPERM
        return "EPERM" if "not allowed" in str(error) else "?"
    return f"done: {type(result).__name__}"


def attempts(spec: Any, inputs: Any, outputs: Any) -> dict[str, str]:
    """Every forbidden act of ``spec`` by name, and how each ended."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: Any) -> int:
        result = libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), "refused")
        return int(result)

    acts = {
        "inet socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "socket pair": socket.socketpair,
        "io_uring": lambda: call(425, 8, ctypes.create_string_buffer(120)),
        "read passwd": lambda: Path("/etc/passwd").read_text(),
        "read the secret": lambda: Path(spec["secret"]).read_text(),
        "list the secret's folder": lambda: list(Path(spec["secret"]).parent.iterdir()),
        "read a parent's file": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "open a parent's descriptor": lambda: list(Path(f"/proc/{os.getppid()}/fd").iterdir()),
        "write a file": lambda: Path(spec["folder"], "x").write_text("x"),
        "write beside the code": lambda: Path(__file__).with_name("x").write_text("x"),
        "make a folder": lambda: Path(spec["folder"], "d").mkdir(),
        "rename": lambda: Path(spec["secret"]).rename(spec["folder"] + "/moved"),
        "unlink": lambda: Path(spec["secret"]).unlink(),
        "truncate": lambda: os.truncate(spec["secret"], 0),
        "chmod": lambda: Path(spec["secret"]).chmod(0o666),
        "chown": lambda: os.chown(spec["secret"], 1, 1),
        "utime": lambda: os.utime(spec["secret"]),
        "fork": os.fork,
        "run a program": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "exec": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "signal the parent by pidfd": lambda: os.pidfd_open(os.getppid()),
        "own signals to the parent": lambda: fcntl.fcntl(spec["pipe"], fcntl.F_SETOWN, os.getppid()),
        "raise the memory limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 50, 1 << 50)),
        "limit the parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
        "leave the group": os.setsid,
        "mount": lambda: call(165, b"none", b"/mnt", b"tmpfs", 0, None),
        "trace the parent": lambda: call(101, 16, os.getppid(), 0, 0),
        "shared memory": lambda: call(29, 0, 4096, 0o1600),
        "x32 socket": lambda: call(0x40000000 + 41, 2, 1, 0),
    }
    return {name: outcome(acts[name]) for name in spec["acts"]}


def surroundings(spec: Any, inputs: Any, outputs: Any) -> dict[str, Any]:
    """Everything a child can see of its world without breaking in."""
    open_files = []
    for number in range(256):
        try:
            os.fstat(number)
        except OSError:
            continue
        open_files.append(number)
    status = Path("/proc/self/status")
    return {
        "environment": dict(os.environ),
        "arguments": sys.argv,
        "open": open_files,
        "streams": [os.path.samestat(os.fstat(number), Path("/dev/null").stat()) for number in range(3)],
        "status": outcome(status.read_text),
        "modules": sorted(name for name in sys.modules if name.startswith(("gateway", "cryptography"))),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in spec["limits"]},
    }


def copy(spec: Any, inputs: Any, outputs: Any) -> dict[str, Any]:
    sizes = {}
    for name, source in inputs.items():
        sizes[name] = 0
        while part := source.read(100_000):
            sizes[name] += len(part)
            outputs[name].write(part)
    return {"sizes": sizes, "seekable": {name: source.seekable() for name, source in inputs.items()}}


def backwards(spec: Any, inputs: Any, outputs: Any) -> list[str]:
    """The last and then the first bytes of a seekable input, and the same through its /dev/fd name."""
    source = inputs["a"]
    source.seek(-4, os.SEEK_END)
    last = source.read().decode()
    source.seek(0)
    first = source.read(4).decode()
    again = Path(f"/dev/fd/{source.fileno()}").read_bytes()[:4].decode()
    return [first, last, again, outcome(lambda: os.write(source.fileno(), b"x"))]


def allocate(spec: Any, inputs: Any, outputs: Any) -> int:
    return len(bytearray(spec["bytes"]))


def spin(spec: Any, inputs: Any, outputs: Any) -> None:
    while True:
        pass


def spin_deaf(spec: Any, inputs: Any, outputs: Any) -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    spin(spec, inputs, outputs)


def sleep(spec: Any, inputs: Any, outputs: Any) -> None:
    time.sleep(3600)


def fork_bomb(spec: Any, inputs: Any, outputs: Any) -> dict[str, int]:
    made = refused = 0
    for _ in range(1000):
        try:
            if os.fork() == 0:
                time.sleep(3600)
            made += 1
        except OSError:
            refused += 1
    return {"made": made, "refused": refused}


def threads(spec: Any, inputs: Any, outputs: Any) -> int:
    seen: list[int] = []
    group = [threading.Thread(target=seen.append, args=(n,)) for n in range(4)]
    for thread in group:
        thread.start()
    for thread in group:
        thread.join()
    return len(seen)


def crash(spec: Any, inputs: Any, outputs: Any) -> None:
    sys.stderr.write(SECRET)
    print(SECRET)  # noqa: T201
    ctypes.string_at(0)


def abort(spec: Any, inputs: Any, outputs: Any) -> None:
    os.abort()


def vanish(spec: Any, inputs: Any, outputs: Any) -> None:
    os._exit(0)


def flood(spec: Any, inputs: Any, outputs: Any) -> None:
    while True:
        outputs["a"].write(bytes(1 << 20))


def long_answer(spec: Any, inputs: Any, outputs: Any) -> str:
    return "x" * spec["bytes"]


def forge(spec: Any, inputs: Any, outputs: Any) -> None:
    """A child in a stranger's hands writes the answer itself."""
    for number in range(3, 64):
        try:
            os.write(number, json.dumps(spec["answer"]).encode())
        except OSError:
            continue
    os._exit(0)


def foreign_error(spec: Any, inputs: Any, outputs: Any) -> None:
    raise {"value": ValueError, "json": json.JSONDecodeError, "chance": CodedByChance}[spec["kind"]](
        *((SECRET, SECRET, 0) if spec["kind"] == "json" else (SECRET,))
    )


def own_error(spec: Any, inputs: Any, outputs: Any) -> None:
    raise OwnError("the header\nof 'a' is broken at line 3")


def no_json(spec: Any, inputs: Any, outputs: Any) -> Any:
    return {SECRET}


def half(spec: Any, inputs: Any, outputs: Any) -> str:
    return inputs["a"].read(10).decode()


def parsers(spec: Any, inputs: Any, outputs: Any) -> dict[str, Any]:
    """The libraries that real tasks use, each on real input; loaded here, inside the binding."""
    import duckdb
    import pyarrow.csv
    import pyarrow.parquet
    import pysam

    number = inputs["table"].fileno()
    duck = duckdb.connect()
    counted = duck.execute("select count(*), sum(a) from read_csv(?)", [f"/dev/fd/{number}"]).fetchall()
    table = pyarrow.csv.read_csv(inputs["table"])
    pyarrow.parquet.write_table(table, outputs["parquet"])
    with pysam.VariantFile(inputs["vcf"]) as source:
        positions = [record.pos for record in source]
    return {"duckdb": list(counted[0]), "arrow": table.num_rows, "pysam": positions}
