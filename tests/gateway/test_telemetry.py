"""Traces and logs: what is not on the list never leaves, whoever made it. Invariant 18."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.errors import BadInput
from gateway.logs import configure_logs, log
from gateway.telemetry import allowed

SECRETS = ("王小明", "Wang Xiaoming", "11010519491231002X", "0|1:35:99", "patient", "SZH_WGS_0001", "rs429358")
# Spans as our own code makes them, and as a package would that knows nothing of the list.
EXPORTING = """
import sys
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from gateway.telemetry import send_traces, span

provider = send_traces(sys.argv[1])
with span("release", state="recorded", size=7, name="王小明", patient="Wang Xiaoming", code="0|1:35:99"):
    pass
try:
    with span("sandbox", task="connectors.sniff", step="SZH_WGS_0001"):
        raise ValueError("11010519491231002X")
except ValueError:
    pass
with trace.get_tracer("foreign").start_as_current_span("GET /people/11010519491231002X") as foreign:
    foreign.set_attribute("db.statement", "select * from participant where name = '王小明'")
    foreign.set_attribute("route", "/people/11010519491231002X")
    foreign.set_attribute("status", 200)
    foreign.add_event("patient", {"name": "Wang Xiaoming"})
    foreign.record_exception(ValueError("rs429358"))
    foreign.set_status(Status(StatusCode.ERROR, "Wang Xiaoming"))
provider.shutdown()
"""


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP/HTTP receiver on loopback: its endpoint, and the bodies it was sent."""
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
        finally:
            server.shutdown()
            thread.join()


def test_inv18_a_real_export_holds_the_allowed_attributes_and_no_other_text() -> None:
    """Invariant 18: secrets, names and genotypes never reach a span."""
    with collector() as (endpoint, bodies):
        subprocess.run(
            [sys.executable, "-c", EXPORTING, endpoint], check=True, timeout=60, env={"OTEL_BSP_SCHEDULE_DELAY": "50"}
        )
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    told = {span.name: {a.key: a.value.string_value or a.value.int_value for a in span.attributes} for span in spans}
    assert told == {
        "release": {"state": "recorded", "size": 7},
        "sandbox": {"task": "connectors.sniff", "code": "ValueError"},
        "unnamed": {"status": 200},
    }
    assert all(not span.events and not span.links and not span.status.message for span in spans)
    everything = b"".join(bodies)
    assert [secret for secret in SECRETS if secret.encode() in everything] == []


@pytest.mark.parametrize(
    "given",
    [
        {"name": "x"},
        {"state": "Wang Xiaoming"},
        {"state": "王小明"},
        {"state": "A123456"},
        {"state": "x" * 65},
        {"state": ["recorded"]},
        {"state": 3},
        {"size": "11010519491231002"},
        {"size": None},
        {"release": "11010519491231002X"},
        {"release": "0" * 31},
        {"route": "/releases/1234/content"},
        {"route": "/releases?name=x"},
        {"state": "recorded\n"},
    ],
)
def test_a_value_out_of_shape_is_dropped(given: dict[str, object]) -> None:
    assert allowed(given) == {}


def test_what_is_allowed_passes() -> None:
    given = {
        "state": "recorded",
        "rule": "HGR-10",
        "route": "/releases/{release_id}/content",
        "release": "0a" * 16,
        "size": 12,
    }
    assert allowed(given) == given


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logs("info", stream)
    yield stream
    root.handlers[:], root.level = before, level


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_inv18_a_log_line_is_json_with_the_allowed_keys_alone(lines: io.StringIO) -> None:
    """Invariant 18: secrets, names and genotypes never reach a log."""
    log(
        "release_recorded",
        release="0a" * 16,
        state="recorded",
        name="王小明",
        genotype="0|1",
        at="x",
        where="y",
        logger="z",
    )
    (line,) = read(lines)
    assert line.pop("at") != "x"
    assert line == {"level": "info", "event": "release_recorded", "release": "0a" * 16, "state": "recorded"}
    log("王小明 came")
    assert read(lines)[1]["event"] == "unnamed"


def test_an_exception_is_told_by_type_code_and_place_and_never_by_its_text(lines: io.StringIO) -> None:
    try:
        allowed(None)  # type: ignore[arg-type]
    except AttributeError as error:
        log("broken", level="error", error=error)
    log("refused", error=BadInput("王小明.vcf: line 3", code="bad_header"))
    log("foreign", error=ValueError("Wang Xiaoming"))
    first, second, third = read(lines)
    assert str(first["where"]).startswith("gateway/telemetry.py:")
    assert (first["error"], first["code"]) == ("AttributeError", "AttributeError")
    assert (second["error"], second["code"]) == ("BadInput", "bad_header")
    assert (third["error"], third["code"]) == ("ValueError", "ValueError")
    assert not [secret for secret in SECRETS if secret in lines.getvalue()]


def test_lines_of_other_packages_keep_their_logger_and_lose_their_text(lines: io.StringIO) -> None:
    try:
        raise KeyError("rs429358")
    except KeyError:
        logging.getLogger("sqlalchemy.engine").exception("select * from participant where name = %s", "王小明")
    logging.getLogger("quiet").debug("nothing")
    (line,) = read(lines)
    assert {key: line[key] for key in line if key != "at"} == {
        "level": "error",
        "event": "foreign",
        "logger": "sqlalchemy.engine",
        "error": "KeyError",
        "code": "KeyError",
    }


def test_lines_below_the_level_are_not_written_and_a_second_configuration_does_not_double(lines: io.StringIO) -> None:
    again = io.StringIO()
    configure_logs("error", again)
    log("quiet")
    logging.getLogger("server").warning("quiet")
    logging.getLogger("server").error("loud")
    assert len(read(again)) == 1
    assert read(lines) == []


def test_commands_that_send_nothing_do_not_load_the_exporter() -> None:
    code = "import sys, gateway.telemetry; sys.exit(any('exporter' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
