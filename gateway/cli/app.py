"""Every verb, where it lives and its line of help; only the module of the verb that runs is imported."""

from __future__ import annotations

from gateway.cli.lazily import lazy_group

PROPOSED = "proposed by one operator and confirmed by another."
DEID = "De-identify one file by one recipe. Makes no release."
deid = lazy_group(
    {
        "vcf": (
            "gateway.cli.deid:vcf",
            "A cohort VCF or BCF; OUT ending in .bcf is BCF. An index is written beside it.",
        ),
        "reads": (
            "gateway.cli.deid:reads",
            "A BAM or CRAM; OUT ending in .cram is CRAM. Coordinate-sorted output gets an index.",
        ),
        "fastq": ("gateway.cli.deid:fastq", "One FASTQ of one participant, or with --pair the two files of a pair."),
        "matrix": ("gateway.cli.deid:matrix", "An expression or methylation matrix, features in rows."),
        "frequencies": ("gateway.cli.deid:frequencies", "Allele frequencies of a cohort VCF, sites only."),
        "table": (
            "gateway.cli.deid_table:table",
            "De-identify a table: everybody in it stays, under names made from the key.",
        ),
    },
    help_=DEID,
)
app = lazy_group(
    {
        "init": (
            "gateway.cli.house:init",
            "Make the home: folders, keys, database, ledger, first people. A second run changes nothing.",
        ),
        "serve": ("gateway.cli.house:serve", "Serve the API (its description is at /docs)."),
        "demo": (
            "gateway.cli.house:demo",
            "Tell the whole story on a synthetic cohort; the last line is one JSON object.",
        ),
        "schema": ("gateway.cli.house:schema", "Print the JSON Schema of a file or answer: facts, event."),
        "login": ("gateway.cli.research:login", "Sign in; the token is kept in a file that only you can read."),
        "logout": ("gateway.cli.research:logout", "End the session, and forget the token."),
        "catalogue": (
            "gateway.cli.research:catalogue",
            "What is here, for anybody; numbers of people are words.",
        ),
        "apply": (
            "gateway.cli.research:apply",
            "Apply with a file of purpose, evidence and items (dataset, views); the answer says what is still missing.",
        ),
        "files": ("gateway.cli.research:files", "The files of an available release."),
        "fetch": (
            "gateway.cli.research:fetch",
            "Fetch the sealed files of a release; a broken fetch goes on by itself when it is started again.",
        ),
        "leakcheck": (
            "gateway.cli.leaks:leakcheck",
            "Open files down to the bytes and look for identifiers: exit 0 clean, 1 found, 2 could not tell.",
        ),
        "ledger": ("gateway.cli.ledger_group:ledger", "Prove and read the ledger."),
        "witness": (
            "gateway.cli.witnessing:witness",
            "Cosign ledgers, so that nobody can be shown another history.",
        ),
        "policy": ("gateway.cli.law:policy", "Ask the law, and say which version of it judges."),
        "dataset": ("gateway.cli.custody:dataset", "Point at a folder, see what it is, store it, label it."),
        "consent": ("gateway.cli.custody:consent", "What participants permit."),
        "application": ("gateway.cli.custody:application", "What researchers ask for, and the answers of stewards."),
        "grant": ("gateway.cli.custody:grant", "Who may fetch what, until when."),
        "filing": ("gateway.cli.custody:filing", "Filings with the authorities."),
        "institution": ("gateway.cli.people:institution", f"Institutions, {PROPOSED}"),
        "person": ("gateway.cli.people:person", f"People and their roles, {PROPOSED}"),
        "key": ("gateway.cli.research:key", "Register your keys with proof that you hold them."),
        "release": ("gateway.cli.release_group:release", "Ask for data under a grant."),
        "crypt4gh": ("gateway.cli.sealing:crypt4gh", "Keys, sealed files: GA4GH Crypt4GH version 1."),
        "deid": (deid, DEID),
        "report": ("gateway.cli.reports:report", "Reports from the proven ledger."),
    },
    help_="Tongguan 通关: nothing leaves except through it.",
)
