"""Sessions, people, roles, institutions, keys."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from gateway import accounts, listings, recipient_keys
from gateway import institutions as institution_acts
from gateway.api.auth import CurrentActor, CurrentEnv, spoken_from
from gateway.api.bodies import AnswerBody, ChallengeBody, InstitutionBody, PersonBody, RoleBody, SignIn

router = APIRouter(tags=["people"])


@router.post("/tokens", status_code=201)
def sign_in(body: SignIn, request: Request, env: CurrentEnv, response: Response) -> dict[str, str]:
    """Sign in with a local account; a short-lived bearer token."""
    response.headers["Cache-Control"] = "no-store"
    place = (body.place_of_access or "unknown") if env.demo else spoken_from(request)
    signed = accounts.sign_in(env, login=body.login, password=body.password, place_of_access=place)
    return {"token": signed.token, "expires_at": signed.expires_at, "person": signed.person_id}


@router.post("/tokens/renew", status_code=201)
def renew(env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """A new token for the session."""
    signed = accounts.renew_token(env, actor)
    return {"token": signed.token, "expires_at": signed.expires_at, "person": signed.person_id}


@router.delete("/session", status_code=204)
def sign_out(env: CurrentEnv, actor: CurrentActor) -> None:
    """End the session; its tokens die."""
    accounts.sign_out(env, actor)


@router.get("/me")
def me(actor: CurrentActor) -> dict[str, Any]:
    """Who I am and for whom I act."""
    return {
        "person": actor.person_id,
        "institution": actor.institution_id,
        "unit": actor.unit,
        "roles": sorted(actor.roles),
        "place_of_access": actor.place_of_access,
    }


@router.get("/institutions")
def institutions(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """The institutions known here, for staff of this house."""
    return listings.institutions(env, actor)


@router.post("/institutions", status_code=201)
def add_institution(body: InstitutionBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Propose an institution; a second operator confirms."""
    return {"id": accounts.propose_institution(env, actor, **body.model_dump())}


@router.get("/people")
def everybody(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """People and their roles, for operators."""
    return listings.people(env, actor)


@router.post("/institutions/{institution_id}/control-change", status_code=201)
def report_change_of_control(institution_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Report that an institution changed hands: releases to it hold at once (FAQ-3.9)."""
    institution_acts.report_change_of_control(env, actor, institution_id)
    return {"state": "held"}


@router.put("/institutions/{institution_id}/control")
def restate_control(institution_id: str, body: dict[str, Any], env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """State who controls an institution now; a second operator confirms."""
    institution_acts.restate_control(env, actor, institution_id, body)
    return {"state": "proposed"}


@router.post("/people", status_code=201)
def add_person(body: PersonBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Propose a person; a second operator confirms."""
    return {"id": accounts.propose_person(env, actor, accounts.NewPerson(**body.model_dump()))}


@router.post("/roles", status_code=201)
def add_role(body: RoleBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Propose a role; a second operator confirms."""
    return {"id": accounts.propose_role(env, actor, **body.model_dump())}


@router.post("/confirmations/{kind}/{row_id}", status_code=204)
def confirm(kind: Literal["institution", "person", "role"], row_id: str, env: CurrentEnv, actor: CurrentActor) -> None:
    """Confirm what another operator proposed."""
    accounts.confirm(env, actor, kind, row_id)


@router.delete("/roles/{role_id}", status_code=204)
def end_role(role_id: str, env: CurrentEnv, actor: CurrentActor) -> None:
    """Take a role away."""
    accounts.end_role(env, actor, role_id)


@router.post("/keys/challenges", status_code=201)
def challenge(body: ChallengeBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Ask for a challenge for a public key."""
    return recipient_keys.challenge(env, actor, kind=body.kind, public_key=body.public_key)


@router.post("/keys", status_code=201)
def register_key(body: AnswerBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Answer a challenge; the key is registered."""
    return {"id": recipient_keys.register(env, actor, challenge_id=body.challenge, answer=body.answer)}


@router.get("/keys")
def keys(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """My keys."""
    return recipient_keys.own_keys(env, actor)
