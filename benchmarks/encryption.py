"""Encrypting and decrypting 256 MB in a store's segments, against ``cryptography``'s AES-GCM on the same bytes in one go.

    python benchmarks/encryption.py [--megabytes 256] [--turns 7]

All ways take turns in one process; medians and minima. tailor's side goes through an encrypted backend as a store uses it, worker thread
and all; what it encrypts is dropped segment by segment, so that no disk is measured. In one go needs memory for both texts at once, and
time for the system to give it. Needs the extra ``crypto``; prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.to_thread import run_sync
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tailor.persistence import Body, Cipher, EncryptedBackend, Expected, MemoryBackend, SecretKey, create_encrypted

MOST = 1 << 20  # of one chunk, as a store gives them
LIBRARY = {Cipher.AES_256_GCM: AESGCM, Cipher.CHACHA20_POLY1305: ChaCha20Poly1305}


class Nowhere(MemoryBackend):
    """Takes all that is written, and keeps only the keyring."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        if key.startswith("encryption/"):
            return await super().write(key, body, expected=expected)
        await run_sync(lambda: deque(body.chunks(), maxlen=0))
        return ""


def ways(
    cipher: Cipher, data: bytes, encrypting: EncryptedBackend, decrypting: EncryptedBackend
) -> dict[str, Callable[[], Awaitable[object]]]:
    view, library = memoryview(data), LIBRARY[cipher](bytes(32))
    body = Body(len(data), lambda: (view[at : at + MOST] for at in range(0, len(data), MOST)))
    text = library.encrypt(bytes(12), data, b"about")
    return {
        "encrypt, in one go": lambda: run_sync(library.encrypt, bytes(12), data, b"about"),
        "encrypt, tailor": lambda: encrypting.write("objects/a", body),
        "decrypt, in one go": lambda: run_sync(library.decrypt, bytes(12), text, b"about"),
        "decrypt, tailor": lambda: decrypting.read("objects/a", lambda chunk: None),
    }


async def measure(cipher: Cipher, data: bytes, turns: int) -> dict[str, list[float]]:
    key = SecretKey(bytes(32))
    encrypting, decrypting = [await create_encrypted(place, key, cipher=cipher) for place in (Nowhere(), MemoryBackend())]
    await decrypting.write("objects/a", Body.of(data))
    runs = ways(cipher, data, encrypting, decrypting)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            await run()
            if turn:  # the first one imports
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=256.0)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    data = os.urandom(round(options.megabytes * 1e6))
    print(f"{options.megabytes:g} MB, {options.turns} turns")
    print()
    print("| | | MB/s, median (best) | x in one go, median |")
    print("|---|---|---:|---:|")
    for cipher in Cipher:
        found = anyio.run(measure, cipher, data, options.turns)
        for name, seconds in found.items():
            middle, least = statistics.median(seconds), min(seconds)
            beside = statistics.median(found[f"{name.partition(',')[0]}, in one go"])
            figures = f"{options.megabytes / middle:.0f} ({options.megabytes / least:.0f}) | {beside / middle:.2f}"
            print(f"| {cipher.name} | {name} | {figures} |")


if __name__ == "__main__":
    main()
