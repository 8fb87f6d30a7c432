"""Collects the operators of a graph that is being made from Keras.

A tensor is known by the name of the operator that makes it; a constant is an array. Shapes follow
from the inputs, so that a rule only says what is done.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.graph import Array, Operator, Shape
from edgecnn.operators import FUNCTIONS

Tensor = str | Array
COMMUTATIVE = ("add", "multiply", "maximum", "minimum")
RESERVED = ("image", "probabilities")
"""How the ends of every artifact are called; a layer of such a name gets a number."""

COMPOSED = frozenset(
    {"identity", "linear", "softmax", "log_softmax", "leaky_relu", "swish", "silu", "hard_silu"}
    | {"mish", "elu", "selu", "celu", "log_sigmoid", "softsign", "tanh_shrink", "exponential"}
    | {"expm1", "log1p", "erfc", "neg", "reciprocal", "tan", "sinh", "cosh"}
    | {"asin", "acos", "asinh", "acosh", "atanh"}
)
"""Functions that `Builder.function` makes of those in `FUNCTIONS`."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Builder:
    """Collects operators under names that are unique and hold no slash.

    Writers name what they add with one, so that theirs can never be a layer's.
    """

    def __init__(self, values: bool) -> None:
        self.operators: list[Operator] = []
        self._values = values
        self._by_name: dict[str, Operator] = {}
        self._taken: set[str] = {*RESERVED}

    def picture(self, shape: Shape) -> str:
        """Append the input."""
        return self._append(Operator("image", "input", [], shape))

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        *,
        name: str,
        weights: dict[str, Array] | None = None,
        **attributes: Any,
    ) -> str:
        """Append an operator; returns the name it got."""
        name = name.replace("/", ".")
        unique, count = name, 1
        while unique in self._taken:
            count += 1
            unique = f"{name}_{count}"
        shape = tuple(int(n) for n in shape)
        return self._append(Operator(unique, op, list(inputs), shape, attributes, weights or {}))

    def _append(self, op: Operator) -> str:
        self._taken.add(op.name)
        self.operators.append(op)
        self._by_name[op.name] = op
        return op.name

    def __getitem__(self, name: str) -> Operator:
        return self._by_name[name]

    def shape(self, x: Tensor) -> Shape:
        """Shape of a tensor or constant."""
        return self._by_name[x].shape if isinstance(x, str) else x.shape

    def value(self, variable: Any) -> Array:
        """A variable's value, or its stand-in."""
        if self._values:
            # A view of the tensor: of the variable itself it would be a copy.
            # A kernel with an adapter (LoRA) is no variable but the sum of some.
            value = variable.value.read_value() if hasattr(variable, "value") else variable
            return np.asarray(value, np.float32)
        return np.broadcast_to(np.float32(0), tuple(variable.shape))

    # arithmetic

    def affine(self, x: str, scale: Any, shift: Any, name: str, **attributes: Any) -> str:
        """x · scale + shift, of one value or of one for each channel."""
        channels = self.shape(x)[-1:]
        weights = {
            "scale": np.broadcast_to(np.asarray(scale, np.float64), channels).copy(),
            "shift": np.broadcast_to(np.asarray(shift, np.float64), channels).copy(),
        }
        return self.emit("affine", [x], self.shape(x), name=name, weights=weights, **attributes)

    def binary(self, op: str, a: Tensor, b: Tensor, name: str, **attributes: Any) -> str:
        """An operator of two operands, stretched to each other's shape; one may be constant."""
        rank = max(len(self.shape(a)), len(self.shape(b)))
        a, b = (self._with_rank(x, rank, name) for x in (a, b))
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        if op == "multiply" and isinstance(a, str) and a is b:
            return self.activation("square", a, name)
        if isinstance(a, str) and isinstance(b, str):
            return self.emit(op, [a, b], shape, name=name, **attributes)
        x, constant, first = (b, a, True) if isinstance(b, str) else (a, b, False)
        assert isinstance(x, str)
        constant = np.asarray(constant, np.float64)
        if (simpler := self._with_constant(op, x, constant, first, name)) is not None:
            return simpler
        if first and op not in COMMUTATIVE:
            attributes["first"] = True
        weights = {"operand": constant.astype(np.float32)}
        return self.emit(op, [x], shape, name=name, weights=weights, **attributes)

    def _with_constant(self, op: str, x: str, value: Any, first: bool, name: str) -> str | None:
        """What needs no operator of two operands: an affine map, a ReLU, a simple power."""
        shape = self.shape(x)
        if op == "power" and not first and value.size == 1:
            return self._power(x, float(value.reshape(())), name)
        if op == "maximum" and value.size == 1 and float(value.reshape(())) == 0:
            return self.activation("relu", x, name)
        if op == "minimum" and value.size == 1 and float(value.reshape(())) == 6:
            below = self._by_name[x]
            if below.op == "activation" and below.attributes["kind"] == "relu":
                return self.activation("relu6", below.inputs[0], name)
        channels = value.reshape(-1)
        per_channel = value.size == 1 or value.size == value.shape[-1] == shape[-1]
        if not per_channel or not np.isfinite(value).all():
            return None
        match op:
            case "add":
                return self.affine(x, 1.0, channels, name)
            case "subtract":
                scale, shift = (-1.0, channels) if first else (1.0, -channels)
                return self.affine(x, scale, shift, name)
            case "multiply":
                return self.affine(x, channels, 0.0, name)
            case "divide" if not first and (channels != 0).all():
                return self.affine(x, 1 / channels, 0.0, name)
        return None

    def _power(self, x: str, exponent: float, name: str) -> str | None:
        simple = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt"}
        if exponent in simple:
            return self.activation(simple[exponent], x, name)
        if exponent == -1.0:
            return self.binary("divide", np.ones(()), x, name)
        return x if exponent == 1.0 else None

    def _with_rank(self, x: Tensor, rank: int, name: str) -> Tensor:
        shape = (1,) * (rank - len(self.shape(x))) + self.shape(x)
        return (
            self.reshape(x, shape, f"{name}_stretched") if isinstance(x, str) else x.reshape(shape)
        )

    def activation(self, kind: str, x: str, name: str, **attributes: Any) -> str:
        """A function of each value alone, of those in `FUNCTIONS`."""
        return self.emit("activation", [x], self.shape(x), name=name, kind=kind, **attributes)

    def function(self, kind: str, x: str, name: str, **constants: float) -> str:
        """An activation by the name that Keras has for it; composed where it is not one of ours.

        Raises `ExportError` for one that export does not know.
        """
        kind = {"linear": "identity", "silu": "swish", "hard_silu": "hard_swish"}.get(kind, kind)
        match kind:
            case "identity":
                return x
            case "softmax":
                return self.softmax(x, -1, name)
            case "log_softmax":
                return self.activation("log", self.softmax(x, -1, f"{name}_softmax"), name)
            case "leaky_relu":
                return self.activation(kind, x, name, slope=constants.get("slope", 0.2))
            case "swish":
                gate = self.activation("sigmoid", x, f"{name}_sigmoid")
                return self.binary("multiply", x, gate, name)
            case "mish":
                gate = self.activation("softplus", x, f"{name}_softplus")
                gate = self.activation("tanh", gate, f"{name}_tanh")
                return self.binary("multiply", x, gate, name)
            case "elu" if (alpha := constants.get("alpha", 1.0)) != 1.0:
                return self._elu(x, name, 1.0, alpha)
            case "selu":
                return self._elu(x, name, SELU_SCALE, SELU_SCALE * SELU_ALPHA)
            case "celu":
                alpha = constants.get("alpha", 1.0)
                inner = self.affine(x, 1 / alpha, 0.0, f"{name}_inner")
                return self.affine(self.activation("elu", inner, f"{name}_elu"), alpha, 0.0, name)
            case "log_sigmoid":
                softplus = self.activation("softplus", self._negated(x, name), f"{name}_softplus")
                return self._negated(softplus, name, name)
            case "softsign":
                magnitude = self.activation("abs", x, f"{name}_abs")
                below = self.affine(magnitude, 1.0, 1.0, f"{name}_below")
                return self.binary("divide", x, below, name)
            case "tanh_shrink":
                return self.binary("subtract", x, self.activation("tanh", x, f"{name}_tanh"), name)
            case "exponential":
                return self.activation("exp", x, name)
            case "expm1":
                return self.affine(self.activation("exp", x, f"{name}_exp"), 1.0, -1.0, name)
            case "log1p":
                return self.activation("log", self.affine(x, 1.0, 1.0, f"{name}_plus"), name)
            case "erfc":
                return self.affine(self.activation("erf", x, f"{name}_erf"), -1.0, 1.0, name)
            case "neg":
                return self._negated(x, name, name)
            case "reciprocal":
                return self.binary("divide", np.ones(()), x, name)
            case "tan":
                sine, cosine = (
                    self.activation(part, x, f"{name}_{part}") for part in ("sin", "cos")
                )
                return self.binary("divide", sine, cosine, name)
            case "sinh" | "cosh":
                up = self.activation("exp", x, f"{name}_up")
                down = self.activation("exp", self._negated(x, name), f"{name}_down")
                both = self.binary(
                    "add" if kind == "cosh" else "subtract", up, down, f"{name}_both"
                )
                return self.affine(both, 0.5, 0.0, name)
            case "asin":
                # tan φ = sin φ / cos φ
                cosine = self._root_of_square(x, -1.0, 1.0, name)
                tangent = self.binary("divide", x, cosine, f"{name}_tangent")
                return self.activation("atan", tangent, name)
            case "acos":
                return self.affine(self.function("asin", x, f"{name}_sine"), -1.0, np.pi / 2, name)
            case "asinh":
                size = self.activation("abs", x, f"{name}_size")
                root = self._root_of_square(x, 1.0, 1.0, name)
                grown = self.activation("log", self.binary("add", size, root, name), f"{name}_log")
                sign = self.activation("sign", x, f"{name}_sign")
                return self.binary("multiply", sign, grown, name)
            case "acosh":
                root = self._root_of_square(x, 1.0, -1.0, name)
                return self.activation("log", self.binary("add", x, root, name), name)
            case "atanh":
                above, below = (self.affine(x, sign, 1.0, f"{name}_part") for sign in (1.0, -1.0))
                ratio = self.binary("divide", above, below, f"{name}_ratio")
                return self.affine(self.activation("log", ratio, f"{name}_log"), 0.5, 0.0, name)
        if kind not in FUNCTIONS:
            raise ExportError(f"Export has no rule for the function '{kind}' at '{name}'.")
        return self.activation(kind, x, name)

    def _negated(self, x: str, name: str, result: str = "") -> str:
        return self.affine(x, -1.0, 0.0, result or f"{name}_negated")

    def _root_of_square(self, x: str, scale: float, shift: float, name: str) -> str:
        square = self.activation("square", x, f"{name}_square")
        return self.activation("sqrt", self.affine(square, scale, shift, name), f"{name}_root")

    def _elu(self, x: str, name: str, above: float, below: float) -> str:
        """above · x where x is positive, below · (e^x - 1) elsewhere."""
        positive = self.activation("relu", x, f"{name}_positive")
        negated = self.activation("relu", self._negated(x, name), f"{name}_negative")
        curve = self.activation("elu", self._negated(negated, f"{name}_again"), f"{name}_curve")
        return self.binary(
            "add",
            self.affine(positive, above, 0.0, f"{name}_above"),
            self.affine(curve, below, 0.0, f"{name}_below"),
            name,
        )

    def softmax(self, x: str, axis: int, name: str) -> str:
        """Along any axis: the engines' is along the last."""
        rank = len(self.shape(x))
        axis %= rank
        perm = [*range(axis), *range(axis + 1, rank), axis]
        x = self.transpose(x, perm, f"{name}_turned")
        found = self.emit("softmax", [x], self.shape(x), name=name)
        return self.transpose(found, np.argsort(perm).tolist(), f"{name}_back")

    def reduce(self, kind: str, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
        """Over any axes; over rows and columns of a picture by the operators made for it.

        A result without axes is held as one value along one.
        """
        shape = self.shape(x)
        axes = tuple(sorted(axis % len(shape) for axis in axes))
        kept = [1 if axis in axes else n for axis, n in enumerate(shape)]
        left = [n for axis, n in enumerate(shape) if axis not in axes] or [1]
        pooled = {"mean": "global_avg_pool", "max": "global_max_pool"}.get(kind)
        if len(shape) == 4 and pooled and axes == (1, 2):
            result = kept if keepdims else left
            return self.emit(pooled, [x], result, name=name, keepdims=keepdims)
        if tuple(kept) != shape:
            x = self.emit("reduce", [x], kept, name=name, kind=kind, axes=axes)
        return self.reshape(x, kept if keepdims else left, f"{name}_kept")

    # movement

    def reshape(self, x: str, shape: Sequence[int], name: str) -> str:
        """The same values in the same order."""
        if tuple(shape) == self.shape(x):
            return x
        return self.emit("reshape", [x], shape, name=name)

    def transpose(self, x: str, perm: Sequence[int], name: str) -> str:
        """Axes in another order."""
        if list(perm) == sorted(perm):
            return x
        shape = self.shape(x)
        moved = [axis for axis in perm if shape[axis] != 1]
        if moved == sorted(moved):  # only axes of length 1 change places
            return self.reshape(x, [shape[axis] for axis in perm], name)
        return self.emit(
            "transpose", [x], [shape[axis] for axis in perm], name=name, perm=tuple(perm)
        )

    def gather(self, x: str, axis: int, indices: Sequence[int], name: str) -> str:
        """What stands at these places of an axis, in this order."""
        shape = list(self.shape(x))
        axis %= len(shape)
        indices = [int(i) % shape[axis] for i in indices]
        if indices == list(range(shape[axis])):
            return x
        step = indices[1] - indices[0] if len(indices) > 1 else 1
        if step > 0 and indices == list(range(indices[0], indices[-1] + 1, step)):
            begin, end, strides = [0] * len(shape), list(shape), [1] * len(shape)
            begin[axis], end[axis], strides[axis] = indices[0], indices[-1] + 1, step
            return self.slice(x, begin, end, strides, name)
        shape[axis] = len(indices)
        return self.emit("gather", [x], shape, name=name, axis=axis, indices=tuple(indices))

    def stretched(self, x: str, shape: Sequence[int], name: str) -> str:
        """Repeated along axes of length 1, and along new ones in front."""
        x = str(self._with_rank(x, len(shape), name))
        for axis, n in enumerate(shape):
            if self.shape(x)[axis] != n:
                x = self.gather(x, axis, [0] * n, f"{name}_{axis}")
        return x

    def slice(
        self, x: str, begin: Sequence[int], end: Sequence[int], strides: Sequence[int], name: str
    ) -> str:
        """A part of every axis; a negative stride goes backwards."""
        shape = self.shape(x)
        for axis, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
            if step < 0:
                places = range(shape[axis])[first : last if last >= 0 else None : step]
                x = self.gather(x, axis, list(places), f"{name}_backwards")
        ranges = [
            range(n) if step < 0 else range(n)[first:last:step]
            for n, first, last, step in zip(self.shape(x), begin, end, strides, strict=True)
        ]
        lengths = [len(places) for places in ranges]
        if tuple(lengths) == self.shape(x):
            return x
        if min(lengths) == 0:
            raise ExportError(f"'{name}' takes an empty slice of {self.shape(x)}.")
        return self.emit(
            "slice",
            [x],
            lengths,
            name=name,
            begin=tuple(places.start for places in ranges),
            end=tuple(places[-1] + 1 for places in ranges),
            strides=tuple(places.step for places in ranges),
        )

    def part(self, x: str, axis: int, first: int, last: int, name: str) -> str:
        """From one place of an axis to another, as a slice."""
        begin, end = [0] * len(self.shape(x)), list(self.shape(x))
        begin[axis], end[axis] = first, last
        return self.slice(x, begin, end, [1] * len(end), name)

    def concat(self, parts: Sequence[Tensor], axis: int, name: str) -> str:
        """One behind the other along an axis."""
        names = [part for part in parts if isinstance(part, str)]
        rank = len(self.shape(parts[0]))
        axis %= rank
        if len(names) == 1 and len(parts) == 1:
            return names[0]
        if len(names) != len(parts):
            return self.concat(self._with_constants(parts, axis, name), axis, name)
        shape = list(self.shape(names[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in names)
        return self.emit("concat", names, shape, name=name, axis=axis)

    def _with_constants(self, parts: Sequence[Tensor], axis: int, name: str) -> list[Tensor]:
        """Tensors alone, each with the constants that stand beside it as its padding.

        ResNets widen their shortcuts so, and transformers put a token in front.
        """
        first = next(i for i, part in enumerate(parts) if isinstance(part, str))
        groups: list[list[Tensor]] = [list(parts[: first + 1])]
        for part in parts[first + 1 :]:
            if isinstance(part, str):
                groups.append([])
            groups[-1].append(part)
        return [self._padded_with(group, axis, name) for group in groups]

    def _padded_with(self, group: list[Tensor], axis: int, name: str) -> str:
        """One tensor between constants."""
        at, x = next((i, part) for i, part in enumerate(group) if isinstance(part, str))
        beside = [
            np.zeros(self.shape(x), np.float32) if isinstance(part, str) else part for part in group
        ]
        lengths = [part.shape[axis] for part in beside]
        widths = [(0, 0)] * len(self.shape(x))
        widths[axis] = sum(lengths[:at]), sum(lengths[at + 1 :])
        padded = self.pad(x, widths, name)
        constants = np.concatenate(beside, axis)
        return self.binary("add", padded, constants, name) if constants.any() else padded

    def pad(self, x: str, widths: Sequence[tuple[int, int]], name: str, value: float = 0.0) -> str:
        """A constant around any axes."""
        if value:
            x = self.affine(x, 1.0, -value, f"{name}_less")
        shape = self.shape(x)
        padded = [n + before + after for n, (before, after) in zip(shape, widths, strict=True)]
        inner = [axis for axis, width in enumerate(widths) if any(width)]
        if not inner:
            pass
        elif len(shape) == 4 and set(inner) <= {1, 2}:
            x = self.emit("pad", [x], padded, name=name, pads=(*widths[1], *widths[2]))
        else:
            for axis in inner:
                x = self._padded_axis(x, axis, widths[axis], f"{name}_{axis}")
        return self.affine(x, 1.0, value, f"{name}_more") if value else x

    def _padded_axis(self, x: str, axis: int, width: tuple[int, int], name: str) -> str:
        """Padding of one axis, as that of the rows of a picture."""
        shape = self.shape(x)
        before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        picture = self.reshape(x, (1, before, shape[axis], after), f"{name}_rows")
        wide = shape[axis] + sum(width)
        padded = self.emit(
            "pad", [picture], (1, before, wide, after), name=name, pads=(0, 0, *width)
        )
        return self.reshape(padded, (*shape[:axis], wide, *shape[axis + 1 :]), f"{name}_back")

    # weights

    def dense(self, x: str, kernel: Array, bias: Array, name: str) -> str:
        """A product with weights along the last axis; on pictures a 1×1 convolution."""
        shape = self.shape(x)
        result = (*shape[:-1], kernel.shape[-1])
        if len(shape) == 2 and shape[0] == 1:
            weights = {"kernel": kernel, "bias": bias}
            return self.emit("dense", [x], result, name=name, weights=weights)
        if len(shape) != 4 or shape[0] != 1:
            x = self.reshape(
                x, (1, 1, -(-int(np.prod(shape)) // shape[-1]), shape[-1]), f"{name}_row"
            )
        x = self.convolution(x, kernel[None, None], bias, name)
        return self.reshape(x, result, f"{name}_back")

    def convolution(
        self,
        x: str,
        kernel: Array,
        bias: Array,
        name: str,
        *,
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> str:
        """As Keras's Conv2D, with its padding resolved; groups follow from the kernel's depth."""
        groups = self.shape(x)[3] // kernel.shape[2]
        window = {"strides": tuple(strides), "pads": tuple(pads), "dilation": tuple(dilation)}
        shape = (1, *self._slid(x, kernel, **window), kernel.shape[3])
        weights = {"kernel": kernel, "bias": bias}
        return self.emit("conv", [x], shape, name=name, weights=weights, groups=groups, **window)

    def depthwise(
        self,
        x: str,
        kernel: Array,
        bias: Array,
        name: str,
        *,
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> str:
        """As Keras's DepthwiseConv2D, with its padding resolved."""
        window = {"strides": tuple(strides), "pads": tuple(pads), "dilation": tuple(dilation)}
        shape = (1, *self._slid(x, kernel, **window), kernel.shape[2] * kernel.shape[3])
        weights = {"kernel": kernel, "bias": bias}
        return self.emit("depthwise", [x], shape, name=name, weights=weights, **window)

    def _slid(
        self, x: str, kernel: Array, *, strides: Shape, pads: Shape, dilation: Shape
    ) -> tuple[int, int]:
        """How many rows and columns a window gives that slides over a picture."""
        (kh, kw), (sh, sw), (dh, dw) = kernel.shape[:2], strides, dilation
        _, height, width, _ = self.shape(x)
        top, bottom, left, right = pads
        rows = (height + top + bottom - (kh - 1) * dh - 1) // sh + 1
        return rows, (width + left + right - (kw - 1) * dw - 1) // sw + 1

    def transposed_convolution(
        self,
        x: str,
        kernel: Array,
        bias: Array,
        name: str,
        *,
        strides: tuple[int, int],
        shape: Sequence[int],
        before: tuple[int, int],
    ) -> str:
        """The gradient of a convolution, as a convolution whose channels become pixels.

        Every pixel of the result with the same remainder of its place by the stride sees the same
        part of the kernel (kh, kw, out, in): these parts are the channels of one convolution
        (Shi et al., Is the deconvolution layer the same as a convolutional layer?, 2016), which
        every engine has in int8. `shape` is the result's, `before` the rows and columns that its
        padding cut off at the top and left.
        """
        (kh, kw, out, channels), (sh, sw) = kernel.shape, strides
        reach = (-(-kh // sh), -(-kw // sw))
        parts = np.zeros((*reach, channels, sh, sw, out), np.float32)
        for i in range(kh):
            for j in range(kw):
                # Tap i reaches result row r·sh + i: from input row r, i // sh rows further down.
                place = reach[0] - 1 - i // sh, reach[1] - 1 - j // sw
                parts[place[0], place[1], :, i % sh, j % sw] = kernel[i, j].T
        _, height, width, _ = self.shape(x)
        rows = max(height + reach[0] - 1, -(-(before[0] + shape[1]) // sh))
        columns = max(width + reach[1] - 1, -(-(before[1] + shape[2]) // sw))
        pads = (reach[0] - 1, rows - height, reach[1] - 1, columns - width)
        spread = parts.reshape(*reach, channels, -1)
        x = self.convolution(x, spread, np.tile(bias, sh * sw), name, pads=pads)
        if sh == sw > 1:
            grown = (1, rows * sh, columns * sw, out)
            x = self.emit("depth_to_space", [x], grown, name=f"{name}_pixels", size=sh)
        elif (sh, sw) != (1, 1):
            x = self.reshape(x, (1, rows, columns, sh, sw * out), f"{name}_parts")
            x = self.transpose(x, (0, 1, 3, 2, 4), f"{name}_rows")
            x = self.reshape(x, (1, rows * sh, columns * sw, out), f"{name}_pixels")
        wanted = before[0] + shape[1], before[1] + shape[2]
        return self.slice(
            x, (0, *before, 0), (1, wanted[0], wanted[1], out), (1, 1, 1, 1), f"{name}_cut"
        )

    def select(self, condition: str, then: Tensor, other: Tensor, name: str) -> str:
        """`then` where a condition holds, `other` elsewhere."""
        rank = max(len(self.shape(x)) for x in (condition, then, other))
        inputs, weights = [str(self._with_rank(condition, rank, name))], {}
        shape = self.shape(inputs[0])
        for key, value in (("then", then), ("other", other)):
            value = self._with_rank(value, rank, name)  # noqa: PLW2901
            shape = np.broadcast_shapes(shape, self.shape(value))
            if isinstance(value, str):
                inputs.append(value)
            else:
                weights[key] = np.asarray(value, np.float32)
        return self.emit("select", inputs, shape, name=name, weights=weights)
