"""Datasets, applications, approvals, filings, grants, withdrawals, revocations."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway import (
    applications,
    datasets,
    delegations,
    filings,
    grants,
    item_life,
    labels,
    listings,
    packages,
    regrading,
    revocation,
    risk_signing,
)
from gateway.api.auth import CurrentActor, CurrentEnv
from gateway.api.bodies import (
    ApplicationBody,
    ApprovalBody,
    DelegationBody,
    FilingBody,
    GrantBody,
    LabelBody,
    NoteBody,
    ReassignBody,
    RegradingBody,
    RootBody,
    WithdrawalBody,
)

router = APIRouter(tags=["custody"])


@router.get("/catalogue")
def catalogue(env: CurrentEnv) -> list[dict[str, Any]]:
    """What is here, for anybody."""
    return datasets.catalogue(env)


@router.post("/datasets/scan")
def scan(body: RootBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """What a folder holds, with proposed labels."""
    return datasets.scan(env, actor, body.root)


@router.post("/datasets", status_code=201)
def add_dataset(body: RootBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Store the dataset of a folder's manifest as a draft."""
    return datasets.show(env, actor, datasets.add(env, actor, body.root))


@router.get("/datasets")
def own_datasets(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """The datasets of my institution, drafts included."""
    return listings.datasets(env, actor)


@router.get("/datasets/{dataset_id}")
def dataset(dataset_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """One dataset with its views."""
    return datasets.show(env, actor, dataset_id)


@router.post("/datasets/{dataset_id}/confirmation", status_code=204)
def confirm(dataset_id: str, env: CurrentEnv, actor: CurrentActor) -> None:
    """Confirm a draft and its labels."""
    datasets.confirm(env, actor, dataset_id)


@router.post("/views/{view_id}/label", status_code=201)
def label(view_id: str, body: LabelBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Propose another label for a view; a fall needs a recipe and its measured report."""
    return dict(labels.propose_label(env, actor, view_id, **body.model_dump()))


@router.post("/views/{view_id}/regrading", status_code=201)
def regrade(view_id: str, body: RegradingBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Report what makes a label be looked at again; releases of the view hold until a second person confirmed it."""
    reported = regrading.Reported(**{**body.model_dump(), "with_views": tuple(body.with_views)})
    return regrading.report_change(env, actor, view_id, reported)


@router.post("/views/{view_id}/label/confirmation", status_code=201)
def confirm_label(view_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Confirm a proposed label; not by who proposed it."""
    return dict(labels.confirm_label(env, actor, view_id))


@router.post("/releases/{release_id}/risk-signature", status_code=201)
def sign(release_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Answer by name for the measured risk of a held release."""
    return risk_signing.sign_risk(env, actor, release_id)


@router.post("/datasets/{dataset_id}/withdrawals", status_code=201)
def withdraw(dataset_id: str, body: WithdrawalBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """A participant withdraws."""
    return revocation.withdraw_participant(env, actor, dataset_id=dataset_id, source_id=body.participant)


@router.post("/applications", status_code=201)
def apply(body: ApplicationBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Apply; the answer says what is still missing."""
    wanted = [applications.Wanted(dataset_id=item.dataset_id, views=tuple(item.views)) for item in body.items]
    submission = applications.Submission(
        purpose=body.purpose, evidence=body.evidence, items=wanted, project_id=body.project_id
    )
    application_id = applications.submit(env, actor, submission)
    shown = applications.show(env, actor, application_id)
    shown["decisions"] = {item["id"]: applications.preview(env, actor, item["id"]) for item in shown["items"]}
    return shown


@router.get("/applications")
def my_applications(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """Applications I made, or that ask for data of my institution."""
    return listings.applications(env, actor)


@router.get("/applications/{application_id}")
def application(application_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """One application."""
    return applications.show(env, actor, application_id)


@router.get("/items/{item_id}/decision")
def decision(item_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, dict[str, Any]]:
    """The decision as it stands now, per view."""
    return applications.preview(env, actor, item_id)


@router.post("/items/{item_id}/approvals", status_code=201)
def approve(item_id: str, env: CurrentEnv, actor: CurrentActor, body: ApprovalBody | None = None) -> dict[str, Any]:
    """Approve to file."""
    return dict(applications.approve(env, actor, item_id, under=None if body is None else body.under))


@router.post("/items/{item_id}/acts/{name}")
def act(item_id: str, name: str, body: NoteBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Submit, withdraw, begin-review, ask, hold, refuse, suspend, resume, close, or read-data-use of an item."""
    return item_life.act(env, actor, item_id, name, note=body.note, under=body.under)


@router.post("/items/{item_id}/delegations", status_code=201)
def delegate(item_id: str, body: DelegationBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Lend one's role for this item to a substitute, for some days."""
    return delegations.delegate(env, actor, item_id, **body.model_dump())


@router.get("/delegations")
def my_delegations(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """Delegations I gave, and those given to me."""
    return delegations.listed(env, actor)


@router.delete("/delegations/{delegation_id}")
def end_delegation(delegation_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Take a delegation back."""
    return delegations.revoke(env, actor, delegation_id)


@router.post("/items/{item_id}/package", status_code=201)
def freeze(item_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Prepare, measure and freeze the package to be filed."""
    return dict(packages.freeze_package(env, actor, item_id))


@router.post("/items/{item_id}/grant", status_code=201)
def grant(item_id: str, body: GrantBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Issue the grant."""
    return dict(grants.grant(env, actor, item_id, grants.GrantTerms(**body.model_dump())))


@router.get("/grants")
def my_grants(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """Grants to me, or of data of my institution."""
    return listings.grants(env, actor)


@router.post("/grants/{grant_id}/revocation", status_code=201)
def revoke(grant_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, list[str]]:
    """Revoke a grant; every copy under it dies."""
    return {"stopped": revocation.revoke_grant(env, actor, grant_id)}


@router.post("/filings", status_code=201)
def add_filing(body: FilingBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Record a filing."""
    return {"id": filings.record_filing(env, actor, filings.NewFiling(**body.model_dump()))}


@router.post("/filings/reassignments")
def reassign_backups(body: ReassignBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, list[str]]:
    """Hand all backups of one holder to another report filer (委托调整)."""
    return {"filings": filings.reassign_backups(env, actor, holder_id=body.holder_id, to_id=body.to_id)}


@router.get("/filings")
def own_filings(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """The filings of my institution."""
    return listings.filings(env, actor)


@router.delete("/filings/{filing_id}", status_code=204)
def withdraw_filing(filing_id: str, env: CurrentEnv, actor: CurrentActor) -> None:
    """Mark a filing as no longer standing."""
    filings.withdraw_filing(env, actor, filing_id)
