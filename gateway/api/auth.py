"""Who speaks: bearer tokens (RFC 6750) by Authlib's resource protector, resolved by ``gateway.accounts``.

A token is looked up anew on each request, so a signed-out session or a taken role is gone at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from authlib.oauth2.rfc6749 import OAuth2Error, ResourceProtector
from authlib.oauth2.rfc6749.requests import OAuth2Request
from authlib.oauth2.rfc6750 import BearerTokenValidator
from fastapi import Depends, Request

from gateway.accounts import actor_of_token
from gateway.env import Actor, Env
from gateway.errors import NotSignedIn
from gateway.places import place_of


def current_env(request: Request) -> Env:
    """The application's ports."""
    env: Env = request.app.state.env
    return env


def current_actor(request: Request) -> Actor:
    """The signed-in person. Raises NotSignedIn."""
    env = current_env(request)
    protector = ResourceProtector()
    protector.register_token_validator(_Validator(env))
    # Authlib wants to see https. Our server speaks on loopback or behind the operator's TLS, so the address it was
    # reached by says nothing about the transport; only the header matters here.
    headers = {"Authorization": request.headers.get("authorization", "")}
    spoken = OAuth2Request(request.method, "https://gateway.invalid/", headers=headers)
    try:
        actor: Actor = protector.validate_request(None, spoken)
    except OAuth2Error:
        raise NotSignedIn("a bearer token is needed: Authorization: Bearer ...") from None
    # Somebody who signed in at one place and speaks from another is at the other (GBA-03).
    return actor if env.demo else replace(actor, place_of_access=spoken_from(request))


def spoken_from(request: Request) -> str:
    """The place that the house's table of networks gives the request's own address; headers say nothing."""
    address = None if request.client is None else request.client.host
    return place_of(address, current_env(request).settings["places"])


class _Validator(BearerTokenValidator):  # type: ignore[misc]
    def __init__(self, env: Env) -> None:
        super().__init__()
        self._env = env

    def authenticate_token(self, token_string: str) -> Actor:
        return actor_of_token(self._env, token_string)

    def validate_token(self, token: Actor, scopes: Any, request: Any, **kwargs: Any) -> None:
        """Expiry and session were checked where the token was found; roles are checked by the use case."""


CurrentEnv = Annotated[Env, Depends(current_env)]
CurrentActor = Annotated[Actor, Depends(current_actor)]
