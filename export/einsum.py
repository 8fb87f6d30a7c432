"""Products of tensors: of two that flow, a `matmul`; with weights, a dense layer."""

from collections.abc import Sequence

import numpy as np

from edgecnn.errors import ExportError
from edgecnn.export.builder import Builder, Tensor
from edgecnn.graph import Array


def product(builder: Builder, a: Tensor, b: Tensor, name: str) -> str:
    """a @ b over the last two axes, stretched along those before."""
    if isinstance(a, str) and isinstance(b, str):
        rank = max(len(builder.shape(a)), len(builder.shape(b)))
        a, b = (
            builder.reshape(x, (1,) * (rank - len(builder.shape(x))) + builder.shape(x), name)
            for x in (a, b)
        )
        before: list[int] = [*builder.shape(a)]
        after: list[int] = [*builder.shape(b)]
        batch = np.broadcast_shapes(tuple(before[:-2]), tuple(after[:-2]))
        shape: list[int] = [*batch, before[-2], after[-1]]
        return builder.emit("matmul", [a, b], shape, name=name)
    if isinstance(a, str) and not isinstance(b, str) and _is_matrix(b):
        kernel = b.reshape(b.shape[-2:]).astype(np.float32)
        return builder.dense(a, kernel, np.zeros(b.shape[-1], np.float32), name)
    if isinstance(b, str) and not isinstance(a, str) and _is_matrix(a):
        rank = len(builder.shape(b))
        perm = [*range(rank - 2), rank - 1, rank - 2]
        turned = builder.transpose(b, perm, f"{name}_turned")
        found = product(builder, turned, np.swapaxes(a, -1, -2), name)
        return builder.transpose(found, perm, f"{name}_back")
    raise ExportError(f"'{name}' multiplies by a stack of constant matrices: not supported.")


def along(builder: Builder, x: str, axis: int, matrix: Array, name: str) -> str:
    """Every line of values along an axis, times a constant matrix (to, from)."""
    rank = len(builder.shape(x))
    axis %= rank
    perm = [*range(axis), *range(axis + 1, rank), axis]
    turned = builder.transpose(x, perm, f"{name}_turned")
    found = product(builder, turned, matrix.T, name)
    return builder.transpose(found, np.argsort(perm).tolist(), f"{name}_back")


def _is_matrix(value: Array) -> bool:
    return value.size == np.prod(value.shape[-2:])


def einsum(builder: Builder, equation: str, inputs: Sequence[Tensor], name: str) -> str:
    """A sum over products of two tensors, in Einstein's notation."""
    left, _, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or len(inputs) != 2 or "." in equation:
        raise ExportError(f"'{name}' is the sum {equation}: export knows those of two tensors.")
    (a, b), (x, y) = terms, inputs
    if not isinstance(x, str):
        (a, b), (x, y) = (b, a), (y, x)
    summed = [i for i in a if i in b and i not in result]
    batch = [i for i in a if i in b and i in result]
    rows = [i for i in a if i not in b]
    columns = [i for i in b if i not in a]
    if any(i not in result for i in (*rows, *columns)) or len(set(a)) + len(set(b)) < len(a + b):
        raise ExportError(f"'{name}' is the sum {equation}: export knows plain products.")
    size = dict(zip(a, builder.shape(x), strict=True)) | dict(zip(b, builder.shape(y), strict=True))

    def count(letters: Sequence[str]) -> int:
        return int(np.prod([size[i] for i in letters], dtype=int))

    def arranged(value: Tensor, term: str, order: list[str], shape: tuple[int, ...]) -> Tensor:
        perm = [term.index(i) for i in order]
        if not isinstance(value, str):
            return value.transpose(perm).reshape(shape)
        return builder.reshape(builder.transpose(value, perm, f"{name}_order"), shape, name)

    stack = (count(batch),) if batch else ()
    first = arranged(x, a, [*batch, *rows, *summed], (*stack, count(rows), count(summed)))
    second = arranged(y, b, [*batch, *summed, *columns], (*stack, count(summed), count(columns)))
    found = product(builder, first, second, name)
    order = [*batch, *rows, *columns]
    found = builder.reshape(found, [size[i] for i in order], f"{name}_axes")
    return builder.transpose(found, [order.index(i) for i in result], f"{name}_result")
