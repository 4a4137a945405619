"""Networks of images, 3 x 224 x 224, written down after the papers; random weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(
    inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1, limit: type[nn.Module] | None = nn.ReLU
) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outer)]
    return nn.Sequential(*layers, *([limit()] if limit else []))


class Fire(nn.Module):
    """Squeezed to few channels, then seen through 1 x 1 and 3 x 3 windows side by side (Iandola et al. 2016)."""

    def __init__(self, inner: int, few: int, each: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inner, few, 1), nn.ReLU())
        self.narrow = nn.Sequential(nn.Conv2d(few, each, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(few, each, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.narrow(x), self.wide(x)], 1)


def squeezenet() -> nn.Module:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    first = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128), Fire(256, 32, 128)]
    then = [pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256), nn.Conv2d(512, 1000, 1), nn.ReLU()]
    return nn.Sequential(*first, *then, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Residual(nn.Module):
    """``after(steps(x) + way(x))``."""

    def __init__(self, steps: nn.Module, way: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.steps, self.way, self.after = steps, way, after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(self.steps(x) + self.way(x))
        return y


def mobilenet() -> nn.Module:
    """Inverted residuals (Sandler et al. 2018)."""
    layers, inner = [convolution(3, 32, 3, 2, limit=nn.ReLU6)], 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, outer, count, first in stages:
        for stride in (first,) + (1,) * (count - 1):
            many = inner * factor
            widened = [convolution(inner, many, 1, limit=nn.ReLU6)] if factor > 1 else []
            narrowed = [convolution(many, many, 3, stride, many, nn.ReLU6), convolution(many, outer, 1, limit=None)]
            steps = nn.Sequential(*widened, *narrowed)
            layers.append(Residual(steps, nn.Identity(), nn.Identity()) if stride == 1 and inner == outer else steps)
            inner = outer
    return nn.Sequential(*layers, convolution(320, 1280, 1, limit=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


def resnet50() -> nn.Module:
    """Bottlenecks (He et al. 2015), with the stride in the 3 x 3 convolution."""
    layers: list[nn.Module] = [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inner = 64
    for few, count, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for stride in (first,) + (1,) * (count - 1):
            steps = nn.Sequential(convolution(inner, few, 1), convolution(few, few, 3, stride), convolution(few, 4 * few, 1, limit=None))
            way = nn.Identity() if inner == 4 * few else convolution(inner, 4 * few, 1, stride, limit=None)
            layers.append(Residual(steps, way, nn.ReLU()))
            inner = 4 * few
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
