"""Outside files: nothing outside the root can be named; broken files are refused by name and place, without values."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from connectors.errors import ConnectorError
from connectors.manifest import read_manifest
from connectors.objects import LocalObjects
from connectors.sheets import read_consent, read_samples
from connectors.sniff import sniff

COHORT = Path(__file__).parents[2] / "gateway" / "demo" / "cohort"
ESCAPES = [
    "../x", "a/../../x", "/etc/passwd", "//etc/passwd", "..", "...//..", "a/..", "%2e%2e/x", "..%2fx", "%2e%2e%2fx", "a\\b",
    "..\\x", "C:\\x", "C:/x", "file:///etc/passwd", "http://127.0.0.1/x", "s3://b/k", "htsget://h/x", "ftp://h/x", "data:,x",
    "gs://b/x", "crypt4gh:x", "a\0b", "\0", "", "a\nb", "a\rb", "a\tb", "..;/x", "../", "./../x", "a/./../../x", "..//x",
    "%00", "%c0%ae%c0%ae/x", "%252e%252e/x", "..%5cx", "preload:x", "mem:x", "|id", "x/../..", "link", "dirlink/secret",
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "plain.csv").write_text("a,b\n1,2\n")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "dirlink").symlink_to(tmp_path)
    return inside


@pytest.mark.parametrize("path", ESCAPES)
def test_no_name_leads_outside(root: Path, path: str) -> None:
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(str(root)).open(path)
    assert refused.value.code in {"bad_path", "missing_file"}


def test_plain_files_open_and_a_folder_or_a_scheme_as_root_does_not(root: Path) -> None:
    objects = LocalObjects(str(root))
    with objects.open("plain.csv") as file:
        assert file.read() == b"a,b\n1,2\n"
    assert objects.list() == ["plain.csv"]
    for bad in ("s3://bucket", str(root / "plain.csv"), str(root / "none")):
        with pytest.raises(ConnectorError):
            LocalObjects(bad)


def sniffed(data: bytes, name: str = "file", tmp: Path | None = None) -> dict[str, object]:
    assert tmp is not None
    (tmp / "x").write_bytes(data)
    with (tmp / "x").open("rb") as file:
        return sniff({"path": name}, {"file": file}, {})


def test_the_demo_cohort_is_what_it_is(tmp_path: Path) -> None:
    vcf = sniffed((COHORT / "cohort.vcf.gz").read_bytes(), "cohort.vcf.gz", tmp_path)
    assert (vcf["form"], vcf["kind"], vcf["container"], len(vcf["samples"])) == ("vcf", "vcf", "bgzf", 200)  # type: ignore[arg-type]
    bam = sniffed((COHORT / "reads" / "SZH_WGS_0001.bam").read_bytes(), "a.bam", tmp_path)
    assert (bam["form"], bam["samples"]) == ("bam", ["SZH_WGS_0001"])
    table = sniffed((COHORT / "phenotype.csv").read_bytes(), "p.vcf.gz", tmp_path)
    assert table["form"] == "csv"
    assert table["findings"] == ["named as something else, but holds csv"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"\x00\x01\x02nothing", "unknown_format"),
        (gzip.compress(b"##fileformat=VCFv4.2\n#CHROM", mtime=0)[:20], "damaged_file"),
        (b"##fileformat=VCFv4.2\nnot a header line\n", "broken_header"),
        (b"\xff\xfe,\x81\n1,2\n", "bad_encoding"),
    ],
)
def test_bad_files_are_refused_by_name(data: bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(ConnectorError) as refused:
        sniffed(data, "given.name", tmp_path)
    assert refused.value.code == code
    assert str(refused.value).startswith("given.name: ")


def test_a_cut_off_bgzip_file_is_refused(tmp_path: Path) -> None:
    whole = (COHORT / "cohort.vcf.gz").read_bytes()
    with pytest.raises(ConnectorError) as refused:
        sniffed(whole[:-30], "cohort.vcf.gz", tmp_path)
    assert refused.value.code == "truncated_file"


CONSENT = "participant,age_band,signed_on,purposes,places,sensitive\n"


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (
            CONSENT + "SECRET1,40-49,2025-01-01,GRU,hong_kong,yes\nSECRET1,40-49,2025-01-01,GRU,,yes\n",
            "duplicate_participant",
            "row 3",
        ),
        (CONSENT + "SECRET1,40-49,01/02/2025,GRU,,yes\n", "bad_date", "column signed_on"),
        (CONSENT + "SECRET1,40-49,2025-01-01,GRU,SECRET2,yes\n", "bad_value", "column places"),
        (CONSENT + "SECRET1,40-49,2025-01-01,GRU,,SECRET2\n", "bad_value", "column sensitive"),
        (CONSENT + "SECRET1,40-49,2025-01-01,GRU\n", "ragged_row", "row 2"),
        (CONSENT + ",40-49,2025-01-01,GRU,,\n", "empty_cell", "column participant"),
        (CONSENT, "no_rows", "no rows"),
        ("participant,age_band,signed_on\nSECRET1,40-49,2025-01-01\n", "missing_column", "purposes"),
        (CONSENT.strip() + ",surprise\nSECRET1,40-49,2025-01-01,GRU,,yes,1\n", "unknown_column", "surprise"),
        (CONSENT + '"SECRET1,2025\n', "bad_csv", "line"),
    ],
)
def test_consent_tables_are_refused_by_place_and_never_by_value(text: str, code: str, place: str) -> None:
    with pytest.raises(ConnectorError) as refused:
        read_consent({"path": "consent.csv"}, {"file": io.BytesIO(text.encode())}, {})
    assert refused.value.code == code
    assert place in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_sheets_may_be_utf8_or_gb18030(encoding: str) -> None:
    text = "sample,participant,file\r\n样本一,甲,文件.vcf\r\n".encode(encoding)
    rows = read_samples({"path": "s.csv"}, {"file": io.BytesIO(text)}, {})["rows"]
    assert rows == [{"sample": "样本一", "participant": "甲", "file": "文件.vcf"}]


def manifest(text: str) -> dict[str, object]:
    return read_manifest({"path": "manifest.yaml"}, {"file": io.BytesIO(text.encode())}, {})


def test_the_demo_manifest_reads_and_unset_flags_are_unknown() -> None:
    text = (COHORT / "manifest.yaml").read_text("utf-8")
    assert manifest(text)["secret"] == "no"
    assert manifest(text.replace("secret: 'no'\n", ""))["secret"] == "unknown"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("owner:", "owned:", "unknown key owned|key owner is missing"),
        ("secret: 'no'", "secret: no", "secret must be"),
        ("tier: enclave", "tier: vault", "views, entry 3"),
        ("kind: reads\n", "kind: magic\n", "files, entry 3"),
        ("data_use: [DS, NCU]", "data_use: DS", "data_use must be"),
        ("dataset:", "dataset: [", "not readable as YAML"),
    ],
)
def test_manifests_are_refused_by_place(old: str, new: str, says: str) -> None:
    text = (COHORT / "manifest.yaml").read_text("utf-8")
    with pytest.raises(ConnectorError, match=says):
        manifest(text.replace(old, new, 1))
