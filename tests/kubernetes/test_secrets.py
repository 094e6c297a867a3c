"""Secrets that a Site names: read from the namespace of the operator only, anew, and never shown."""

from __future__ import annotations

import asyncio
import base64
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import KeyRef
from reconciler.operator.connection import secrets
from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API
from reconciler.operator.connection.secrets import ClusterSecrets
from tests.kubernetes.cluster import Cluster

PASSWORD = KeyRef("Secret", "esxi", "password")
OTHER = KeyRef("Secret", "esx2", "password")


def secret(value: bytes) -> dict[str, Any]:
    return {"metadata": {"name": "esxi"}, "data": {"password": base64.b64encode(value).decode(), "empty": ""}}


def test_keys_are_read_anew_and_what_is_not_there_is_said(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_TOGETHER", -1.0)  # each login asks
    admin, where = cluster.admin, "/api/v1/namespaces/operator-secrets"
    assert admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": "operator-secrets"}})[0] == 201
    assert admin.request("POST", f"{where}/secrets", secret(b"first"))[0] == 201
    config = {"metadata": {"name": "ca"}, "data": {"ca.crt": "PEM"}}
    assert admin.request("POST", f"{where}/configmaps", config)[0] == 201

    async def run() -> None:
        api = API(open_access(admin.kubeconfig, None))
        reader = ClusterSecrets(api, "operator-secrets")
        try:
            found = await asyncio.to_thread(reader.read, PASSWORD)
            assert (found.reveal(), repr(found)) == ("first", "***")
            assert admin.request("PUT", f"{where}/secrets/esxi", secret(b"second"))[0] == 200
            assert (await asyncio.to_thread(reader.read, PASSWORD)).reveal() == "second"
            assert (await asyncio.to_thread(reader.read, KeyRef("ConfigMap", "ca", "ca.crt"))).reveal() == "PEM"
            for ref, message in (
                (
                    KeyRef("Secret", "nosuch", "a"),
                    "Secret nosuch in the namespace operator-secrets cannot",
                ),
                (
                    KeyRef("Secret", "esxi", "nosuch"),
                    "Secret esxi in the namespace operator-secrets is not there",
                ),
                (KeyRef("Secret", "esxi", "empty"), "is not there, or empty"),
            ):
                with pytest.raises(UsageError, match=message):
                    await asyncio.to_thread(reader.read, ref)
            assert admin.request("PUT", f"{where}/secrets/esxi", secret(b"\xff\xfe"))[0] == 200
            with pytest.raises(UsageError, match="is not UTF-8"):
                await asyncio.to_thread(reader.read, PASSWORD)
        finally:
            await api.close()

    asyncio.run(run())


def test_what_logins_do_not_share_any_more_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    now = [0.0]
    monkeypatch.setattr(secrets, "monotonic", lambda: now[0])

    async def get(url: str) -> dict[str, Any]:
        asked.append(url.rpartition("/")[2])
        return secret(b"first")

    async def run() -> None:
        reader = ClusterSecrets(cast(API, SimpleNamespace(get=get)), "operator-secrets")
        for at, ref in ((0.0, PASSWORD), (0.5, PASSWORD), (0.6, OTHER), (1.5, OTHER)):
            now[0] = at
            assert (await asyncio.to_thread(reader.read, ref)).reveal() == "first"
        assert list(reader._asked) == [OTHER]

    asyncio.run(run())
    assert asked == ["esxi", "esx2"]
