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
    if isinstance(a, str) and not isinstance(b, str):
        return _stack_of_products(builder, a, b, name)
    raise ExportError(f"'{name}' multiplies constants alone.")


def _stack_of_products(builder: Builder, a: str, b: Array, name: str) -> str:
    """Each matrix of a stack times a constant one of its own: groups of a convolution."""
    shape = builder.shape(a)
    stack = np.broadcast_shapes(shape[:-2], b.shape[:-2])
    a = builder.stretched(a, (*stack, *shape[-2:]), name)
    (rows, inner), columns = shape[-2:], b.shape[-1]
    matrices = np.broadcast_to(b, (*stack, inner, columns)).reshape(-1, inner, columns)
    count = len(matrices)
    x = builder.reshape(a, (count, rows, inner), f"{name}_stack")
    x = builder.transpose(x, (1, 0, 2), f"{name}_rows")
    x = builder.reshape(x, (1, 1, rows, count * inner), f"{name}_channels")
    kernel = matrices.transpose(1, 0, 2).reshape(1, 1, inner, count * columns)
    bias = np.zeros(count * columns, np.float32)
    x = builder.convolution(x, kernel.astype(np.float32), bias, name)
    x = builder.reshape(x, (rows, count, columns), f"{name}_groups")
    x = builder.transpose(x, (1, 0, 2), f"{name}_back")
    return builder.reshape(x, (*stack, rows, columns), f"{name}_product")


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
    """A sum over products of one or two tensors, in Einstein's notation."""
    terms, result = _spelled_out(equation, [len(builder.shape(x)) for x in inputs])
    if len(terms) > 2 or any(len(set(term)) < len(term) for term in terms):
        raise ExportError(
            f"'{name}' is the sum {equation}: export knows those of two tensors, without diagonals."
        )
    tensors = list(inputs)
    for i, term in enumerate(terms):
        others = result + "".join(terms[:i] + terms[i + 1 :])
        alone = tuple(axis for axis, letter in enumerate(term) if letter not in others)
        tensors[i] = _summed(builder, tensors[i], alone, f"{name}_sum")
        terms[i] = "".join(letter for letter in term if letter in others)
    if len(terms) == 1:
        (x,), (a,) = tensors, terms
        assert isinstance(x, str)
        return builder.transpose(x, [a.index(i) for i in result], name)
    (a, b), (x, y) = terms, tensors
    if not isinstance(x, str):
        (a, b), (x, y) = (b, a), (y, x)
    summed = [i for i in a if i in b and i not in result]
    batch = [i for i in a if i in b and i in result]
    rows = [i for i in a if i not in b]
    columns = [i for i in b if i not in a]
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


def _spelled_out(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each term and of the result, with some for what an ellipsis stands for."""
    left, _, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    widths = [rank - len(term.replace("...", "")) for rank, term in zip(ranks, terms, strict=True)]
    widest = "".join(free[: max(widths)])
    terms = [
        term.replace("...", widest[len(widest) - width :])
        for term, width in zip(terms, widths, strict=True)
    ]
    return terms, result.replace("...", widest)


def _summed(builder: Builder, x: Tensor, axes: tuple[int, ...], name: str) -> Tensor:
    if not axes:
        return x
    return builder.reduce("sum", x, axes, False, name) if isinstance(x, str) else x.sum(axes)
