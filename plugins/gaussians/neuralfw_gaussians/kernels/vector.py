"""Sixteen floats as one value inside numba kernels.

Numba does not vectorise loops whose indices may be negative, so the kernels say what is one vector: LLVM makes one
512-bit register of it, or two of 256 bits, or four of 128.

Arithmetic works on two vectors, or on a vector and a float. A comparison gives a mask for `select` and `some`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import float32, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

LANES = 16


class _Lanes(types.Type):
    def __init__(self, element: str) -> None:
        super().__init__(name=f"{element}x{LANES}")


vector = _Lanes("float32")
mask = _Lanes("bool")

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, typ: Any) -> None:
        super().__init__(manager, typ, _FLOATS if typ == vector else _BITS)


def _constant(values: Any) -> ir.Constant:
    return ir.Constant(_FLOATS, [float(np.float32(v)) for v in values])


@intrinsic
@no_type_check
def full(typing_context: Any, value: Any) -> Any:
    """Return a vector with one value in every lane."""

    return vector(value), lambda context, builder, signature, args: context.cast(
        builder, args[0], signature.args[0], vector
    )


@intrinsic
@no_type_check
def steps(typing_context: Any) -> Any:
    """Return the vector 0, 1, …, 15."""
    return vector(), lambda context, builder, signature, args: _constant(range(LANES))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(_FLOATS))


@intrinsic
@no_type_check
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Return the sixteen values of a flat float32 array from an index on; nothing is checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_pointer(context, builder, signature.args[0], *args))
        value.align = 4
        return value

    return vector(array, types.intp), generate


@intrinsic
@no_type_check
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector into a flat float32 array from an index on; nothing is checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature.args[0], *args[:2])).align = 4
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@lower_cast(types.Number, vector)
def _spread(context: Any, builder: Any, of: Any, to: Any, value: Any) -> Any:
    """Let a number stand for a vector with it in every lane."""
    single = context.cast(builder, value, of, float32)
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), single, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, [0] * LANES))


def _operator(function: Callable[..., Any], result: _Lanes, generate: Callable[..., Any]) -> None:
    """Let an operator take two vectors, or a vector and a number."""

    class Signature(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            known = all(a == vector or isinstance(a, types.Number) for a in args)
            return signature(result, vector, vector) if known and len(args) == 2 and vector in args else None

    infer_global(function)(Signature)
    lower_builtin(function, vector, vector)(lambda context, builder, sig, args: generate(builder, *args))


_FLAGS = ("contract", "nsz", "arcp")
_operator(operator.add, vector, lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS))
_operator(operator.sub, vector, lambda builder, a, b: builder.fsub(a, b, flags=_FLAGS))
_operator(operator.mul, vector, lambda builder, a, b: builder.fmul(a, b, flags=_FLAGS))
_operator(operator.truediv, vector, lambda builder, a, b: builder.fdiv(a, b, flags=_FLAGS))
_operator(operator.lt, mask, lambda builder, a, b: builder.fcmp_ordered("<", a, b))
_operator(operator.le, mask, lambda builder, a, b: builder.fcmp_ordered("<=", a, b))
_operator(operator.gt, mask, lambda builder, a, b: builder.fcmp_ordered(">", a, b))
_operator(operator.ge, mask, lambda builder, a, b: builder.fcmp_ordered(">=", a, b))


@intrinsic
@no_type_check
def both(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the mask of the lanes in both masks."""
    return mask(mask, mask), lambda context, builder, signature, args: builder.and_(*args)


@intrinsic
@no_type_check
def some(typing_context: Any, lanes: Any) -> Any:
    """Say whether any lane of a mask is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(mask), generate


@intrinsic
@no_type_check
def select(typing_context: Any, lanes: Any, yes: Any, no: Any) -> Any:
    """Return, lane by lane, `yes` where the mask is set and `no` elsewhere."""
    return vector(mask, vector, vector), lambda context, builder, signature, args: builder.select(*args)


def _call(builder: Any, name: str, result: ir.Type, *args: Any) -> Any:
    function = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)


@intrinsic
@no_type_check
def total(typing_context: Any, value: Any) -> Any:
    """Return the sum over the lanes, halves added to halves."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part, width = args[0], LANES
        while width > 1:
            width //= 2
            kind = ir.VectorType(ir.IntType(32), width)
            low = builder.shuffle_vector(part, part, ir.Constant(kind, [*range(width)]))
            high = builder.shuffle_vector(part, part, ir.Constant(kind, [*range(width, 2 * width)]))
            part = builder.fadd(low, high)
        return builder.extract_element(part, ir.Constant(ir.IntType(32), 0))

    return float32(vector), generate


def _exp2_coefficients() -> list[float]:
    """Return a near-minimax polynomial of 2^x on [-1/2, 1/2], of degree 5, lowest power first: relative error 2e-7."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    fit = np.polynomial.chebyshev.Chebyshev.fit(nodes, np.exp2(nodes), 5, domain=(-0.5, 0.5))
    return [float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef]


_EXP2 = _exp2_coefficients()


@intrinsic
@no_type_check
def exp2(typing_context: Any, value: Any) -> Any:
    """Return 2^x for x up to 126, and 2^-126 for x below -126."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        smallest = _constant([-126.0] * LANES)
        x = builder.select(builder.fcmp_ordered(">", args[0], smallest), args[0], smallest)
        whole = _call(builder, f"llvm.rint.v{LANES}f32", _FLOATS, x)
        part = builder.fsub(x, whole)
        result = _constant([_EXP2[-1]] * LANES)
        for coefficient in reversed(_EXP2[:-1]):
            product = builder.fmul(result, part, flags=("contract",))
            result = builder.fadd(product, _constant([coefficient] * LANES), flags=("contract",))
        exponent = builder.shl(builder.fptosi(whole, _INTS), ir.Constant(_INTS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(result, _INTS), exponent), _FLOATS)

    return vector(vector), generate


@intrinsic
@no_type_check
def absolute(typing_context: Any, value: Any) -> Any:
    """Return |x|."""
    return vector(vector), lambda context, builder, signature, args: _call(
        builder, f"llvm.fabs.v{LANES}f32", _FLOATS, args[0]
    )


@intrinsic
@no_type_check
def smaller(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the smaller of two vectors, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return vector(vector, vector), generate
