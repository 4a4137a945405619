"""Azurite, from npm: ``npm install --prefix build/servers azurite`` puts it where it is looked for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import urllib.request
from email.utils import formatdate
from pathlib import Path

import pytest

from .process import Server

MAIN = Path(__file__).resolve().parents[3] / "build" / "servers" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
ACCOUNT = "devstoreaccount1"
# The emulators' account has the same key everywhere; Azurite's documentation tells it.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def azurite(folder: Path) -> Server:
    """A server that keeps what it has in ``folder``; skips the test where it is not installed."""
    node = shutil.which("node")
    if node is None or not MAIN.exists():
        pytest.skip("needs Node and Azurite: npm install --prefix build/servers azurite")
    flags = ("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--disableProductStyleUrl")
    command = (node, str(MAIN), "--blobHost", "127.0.0.1", "--blobPort", "{port}", "--location", str(folder), *flags)
    return Server(command, path=f"/{ACCOUNT}")


def make_container(server: Server, name: str) -> None:
    """Makes a container, signed as "Authorize with Shared Key" says in Azure's documentation."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    request = urllib.request.Request(f"{server.url}/{name}?restype=container", method="PUT", headers=headers)
    urllib.request.urlopen(request).close()
