"""A network's layers run one by one by PyTorch: an answer that owes nothing to the engine.

Only the kinds that the real models need, read from the messages as the comments of the format have them; values are
``[N, C, H, W]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array

_UNARY_THRESHOLD = 7
_MAX, _AVERAGE = 0, 1


def run_layers(torch: Any, network: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every value that ``network`` (a message) makes of ``inputs``, float32 ``[N, C, H, W]`` (or ``[N, C]``) by name."""
    values = {name: _four(torch.tensor(np.asarray(array, np.float32))) for name, array in inputs.items()}
    with torch.no_grad():
        for layer in network.layers:
            kind = layer.WhichOneof("layer")
            found = [values[name] for name in layer.input]
            values[layer.output[0]] = _answer(torch, kind, getattr(layer, kind), found)
    return {name: value.numpy() for name, value in values.items()}


def preprocessed(network: Any, colours: str, pixels: Array) -> Array:
    """Pixels uint8 ``[N, H, W]`` or ``[N, H, W, 3]`` (red first) as float32 ``[N, C, H, W]``, scaled as ``network`` asks.

    ``colours`` is the description's word: ``GRAYSCALE``, ``RGB`` or ``BGR``.
    """
    planes = pixels[:, None] if colours == "GRAYSCALE" else np.moveaxis(pixels, -1, 1)
    x = planes.astype(np.float32)
    for row in network.preprocessing:
        scaler = row.scaler
        bias = [scaler.grayBias] if colours == "GRAYSCALE" else [scaler.redBias, scaler.greenBias, scaler.blueBias]
        x = x * np.float32(scaler.channelScale) + np.reshape(np.float32(bias), (-1, 1, 1))
    return x[:, ::-1].copy() if colours == "BGR" else x


def _four(x: Any) -> Any:
    return x[:, :, None, None] if x.ndim == 2 else x


def _numbers(torch: Any, message: Any, *shape: int) -> Any:
    """The weights of a message as a tensor."""
    return torch.tensor(np.frombuffer(b"".join(message.floatValue), "<f4").reshape(shape).copy())


def _answer(torch: Any, kind: str, params: Any, found: list[Any]) -> Any:
    """The output of one layer."""
    functional, x = torch.nn.functional, found[0]
    match kind:
        case "convolution":
            return _convolution(torch, params, x)
        case "pooling":
            return _pooling(torch, params, x)
        case "activation":
            return _activation(functional, params, x)
        case "innerProduct":
            bias = _numbers(torch, params.bias, -1) if params.hasBias else None
            weights = _numbers(torch, params.weights, params.outputChannels, params.inputChannels)
            return _four(functional.linear(x.flatten(1), weights, bias))
        case "batchnorm":
            gamma, beta, mean, variance = (_numbers(torch, part, -1) for part in (params.gamma, params.beta, params.mean, params.variance))
            return functional.batch_norm(x, mean, variance, gamma, beta, eps=params.epsilon)
        case "embedding":
            table = _numbers(torch, params.weights, params.outputChannels, params.inputDim)
            return _four(functional.embedding(x.flatten().long(), table.T))
        case "upsample":
            return _upsample(torch, params, x)
        case "flatten":
            return _four((x.permute(0, 2, 3, 1) if params.mode == 1 else x).flatten(1))
        case "permute":  # of [sequence, C, H, W], the sequence being one long before and after
            return x[:, None].permute(0, *(1 + axis for axis in params.axis)).squeeze(1)
        case "concat" if not params.sequenceConcat:
            return torch.cat(found, dim=1)
        case "add":
            return sum(found[1:], x) if len(found) > 1 else x + params.alpha
        case "softmax":
            return functional.softmax(x, dim=1)
        case "unary" if params.type == _UNARY_THRESHOLD:
            return torch.clamp(params.scale * x + params.shift, min=params.alpha)
        case "custom" if params.className == "Swish":
            return functional.silu(x)
    raise AssertionError(f"a layer of kind {kind!r} that this interpreter was not told of: {params}")


def _activation(functional: Any, params: Any, x: Any) -> Any:
    match params.WhichOneof("NonlinearityType"):
        case "ReLU":
            return functional.relu(x)
        case "leakyReLU":
            return functional.leaky_relu(x, params.leakyReLU.alpha)
        case "linear":
            return params.linear.alpha * x + params.linear.beta
        case other:
            raise AssertionError(f"an activation that this interpreter was not told of: {other}")


def _pair(values: Any) -> tuple[int, int]:
    return (int(values[0]), int(values[1])) if len(values) else (1, 1)


def _edges(params: Any, sizes: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> list[int]:
    """Padding left, right, top, bottom; ``same`` puts the odd one behind."""
    if params.HasField("valid"):
        amounts = params.valid.paddingAmounts.borderAmounts
        rows, columns = [(edge.startEdgeSize, edge.endEdgeSize) for edge in amounts] or [(0, 0), (0, 0)]
        return [*columns, *rows]
    assert params.same.asymmetryMode == 0
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, window, stride, strict=True)]
    return [edge for total in reversed(totals) for edge in (total // 2, total - total // 2)]


def _convolution(torch: Any, params: Any, x: Any) -> Any:
    functional = torch.nn.functional
    kernel, stride, dilation = _pair(params.kernelSize), _pair(params.stride), _pair(params.dilationFactor)
    groups, outputs = max(1, params.nGroups), params.outputChannels
    bias = _numbers(torch, params.bias, -1) if params.hasBias else None
    window = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    left, right, top, bottom = _edges(params, x.shape[2:], window, stride)
    if params.isDeconvolution:
        weights = _numbers(torch, params.weights, params.kernelChannels, outputs // groups, *kernel)
        y = functional.conv_transpose2d(x, weights, bias, stride, groups=groups, dilation=dilation)
        return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
    weights = _numbers(torch, params.weights, outputs, params.kernelChannels, *kernel)
    padded = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(padded, weights, bias, stride, groups=groups, dilation=dilation)


def _pooling(torch: Any, params: Any, x: Any) -> Any:
    functional = torch.nn.functional
    if params.globalPooling:
        return x.mean((2, 3), keepdim=True) if params.type == _AVERAGE else x.amax((2, 3), keepdim=True)
    assert params.type == _MAX
    kernel, stride = _pair(params.kernelSize), _pair(params.stride)
    edges = _edges(params, x.shape[2:], kernel, stride)
    return functional.max_pool2d(functional.pad(x, edges, value=-torch.inf), kernel, stride)


def _upsample(torch: Any, params: Any, x: Any) -> Any:
    """Bilinear, in the default mode: output ``i`` of ``m`` lies at ``i * (n - n / m) / (m - 1)`` of ``n``, or the last one."""
    assert params.mode == 1
    assert params.linearUpsampleMode == 0
    places = []
    for size, factor in zip(x.shape[2:], _pair(params.scalingFactor), strict=True):
        count = size * factor
        spacing = (size - size / count) / (count - 1)
        places.append(torch.clamp(torch.arange(count, dtype=torch.float64) * spacing, max=size - 1) * 2 / (size - 1) - 1)
    rows, columns = torch.meshgrid(*places, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1).to(x.dtype).expand(len(x), -1, -1, -1)
    return torch.nn.functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)
