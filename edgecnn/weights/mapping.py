"""From a torch state dict to the variables of a Keras network.

    torch                                      Keras
    conv weight (out, in/groups, kh, kw)   ->  kernel (kh, kw, in/groups, out)
    depthwise weight (in·m, 1, kh, kw)     ->  kernel (kh, kw, in, m)
    linear weight (out, in)                ->  kernel (in, out)
    first linear after a flatten           ->  rows reordered, channels from first to last
    norm weight, bias, running_*           ->  gamma, beta, moving_*

Everything is checked before the first variable changes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.errors import WeightsError

if TYPE_CHECKING:
    import keras

Array = NDArray[Any]
LISTED = 5


def assign(model: "keras.Model", tensors: Mapping[str, Array], source: str) -> None:
    """Give every variable of `model` its tensor; `tensors` go by layer name and torch suffix.

    Each tensor is used exactly once. Raises `WeightsError` that lists what is missing, left over
    or misshapen, before any variable changed.
    """
    missing, misshapen, ready = [], [], []
    unused = set(tensors)
    for name, variable, convert in _expected(model):
        if name not in tensors:
            missing.append(name)
            continue
        unused.discard(name)
        try:
            value = convert(np.asarray(tensors[name], np.float32))
        except ValueError:
            value = None
        if value is None or value.shape != tuple(variable.shape):
            misshapen.append(f"{name} {tensors[name].shape} for {tuple(variable.shape)}")
        else:
            ready.append((variable, value))
    if missing or unused or misshapen:
        complaints = (
            _listed("missing", missing),
            _listed("left over", sorted(unused)),
            _listed("misshapen", misshapen),
        )
        raise WeightsError(
            f"{source} does not fit {model.name}: {'; '.join(c for c in complaints if c)}. "
            "Nothing was loaded. Is it this network, with this number of classes?"
        )
    for variable, value in ready:
        variable.assign(value)


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{len(names)} {what} ({', '.join(names[:LISTED])}{rest})"


def _expected(model: "keras.Model") -> Iterator[tuple[str, Any, Callable[[Array], Array]]]:
    """Name, variable and conversion of all that a state dict of this network holds."""
    from keras import layers

    flattened: tuple[int, ...] | None = None
    for layer in model.layers:
        name = layer.name
        match layer:
            case layers.Flatten():
                flattened = layer.input.shape[1:]
            case layers.DepthwiseConv2D():
                yield f"{name}.weight", layer.kernel, _depthwise(tuple(layer.kernel.shape))
            case layers.Conv2D():
                yield f"{name}.weight", layer.kernel, _convolution
            case layers.Dense():
                yield f"{name}.weight", layer.kernel, _dense(flattened)
                flattened = None
            case layers.BatchNormalization():
                yield f"{name}.weight", layer.gamma, _as_it_is
                yield f"{name}.bias", layer.beta, _as_it_is
                yield f"{name}.running_mean", layer.moving_mean, _as_it_is
                yield f"{name}.running_var", layer.moving_variance, _as_it_is
            case _ if layer.weights:
                raise WeightsError(
                    f"{model.name} has {name}, a {type(layer).__name__}: torch weights are read "
                    "for convolution, dense and batch normalisation layers."
                )
        if getattr(layer, "use_bias", False):
            yield f"{name}.bias", layer.bias, _as_it_is


def _as_it_is(values: Array) -> Array:
    return values


def _convolution(weight: Array) -> Array:
    return weight.transpose(2, 3, 1, 0)


def _depthwise(shape: tuple[int, ...]) -> Callable[[Array], Array]:
    def convert(weight: Array) -> Array:
        if weight.ndim != len(shape) or weight.shape[1] != 1 or weight.shape[2:] != shape[:2]:
            raise ValueError(weight.shape)
        return weight.transpose(2, 3, 0, 1).reshape(shape)

    return convert


def _dense(flattened: tuple[int, ...] | None) -> Callable[[Array], Array]:
    def convert(weight: Array) -> Array:
        if flattened is not None:
            height, width, channels = flattened
            if weight.ndim == 2:
                weight = weight.reshape(-1, channels, height, width)
            if weight.shape[1:] != (channels, height, width):
                raise ValueError(weight.shape)
            return weight.transpose(2, 3, 1, 0).reshape(height * width * channels, -1)
        if weight.ndim == 4 and weight.shape[2:] == (1, 1):
            weight = weight[:, :, 0, 0]
        return weight.transpose(1, 0)

    return convert
