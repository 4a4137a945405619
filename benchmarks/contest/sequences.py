"""Networks of sequences: a transformer encoder and a stack of LSTMs; random weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TOKENS, WIDTH, HEADS, HIDDEN, BLOCKS = 128, 384, 6, 1536, 6
STEPS, INPUT, SIZE, LAYERS = 64, 128, 256, 2


class Attention(nn.Module):
    """Every token looks at every token (Vaswani et al. 2017), in several heads."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)

        query, key, value = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        weights = torch.softmax(query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5, -1)
        y: Tensor = self.out((weights @ value).transpose(1, 2).reshape(-1, TOKENS, WIDTH))
        return y


class Block(nn.Module):
    """Attention, then two dense layers with GELU between, each normalised first and added to what came."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.attention, self.between = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.dense = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before(x))
        y: Tensor = x + self.dense(self.between(x))
        return y


def transformer() -> nn.Module:
    """``[n, 128, 384]`` to the same."""
    return nn.Sequential(*(Block() for _ in range(BLOCKS)), nn.LayerNorm(WIDTH))


def lstm() -> nn.Module:
    """``[64, n, 128]`` to ``[64, n, 256]``, and the last states."""
    return nn.LSTM(INPUT, SIZE, LAYERS)
