"""Every verb and where it lives; only the module of the verb that runs is imported."""

from __future__ import annotations

from gateway.cli.lazily import lazy_group

RESEARCH = ("login", "logout", "catalogue", "apply", "files", "fetch")
CUSTODY = ("dataset", "consent", "application", "grant", "filing")
deid = lazy_group(
    {
        **{kind: f"gateway.cli.deid:{kind}" for kind in ("vcf", "reads", "fastq", "matrix", "frequencies")},
        "table": "gateway.cli.deid_table:table",
    },
    help_="De-identify one file by one recipe. Makes no release.",
)
app = lazy_group(
    {
        "init": "gateway.cli.house:init",
        "serve": "gateway.cli.house:serve",
        "demo": "gateway.cli.house:demo",
        "schema": "gateway.cli.house:schema",
        **{verb: f"gateway.cli.research:{verb}" for verb in RESEARCH},
        "leakcheck": "gateway.cli.leaks:leakcheck",
        "ledger": "gateway.cli.ledger_group:ledger",
        "witness": "gateway.cli.witnessing:witness",
        "policy": "gateway.cli.law:policy",
        **{group: f"gateway.cli.custody:{group}" for group in CUSTODY},
        **{group: f"gateway.cli.people:{group}" for group in ("institution", "person")},
        "key": "gateway.cli.research:key",
        "release": "gateway.cli.release_group:release",
        "crypt4gh": "gateway.cli.sealing:crypt4gh",
        "deid": deid,
        "report": "gateway.cli.reports:report",
    },
    help_="Tongguan 通关: nothing leaves except through it.",
)
