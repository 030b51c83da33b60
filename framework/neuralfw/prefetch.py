"""Fetching memory ahead inside numba kernels."""

from __future__ import annotations

from typing import no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTES = ir.PointerType(ir.IntType(8))
_KINDS = [ir.Constant(ir.IntType(32), value) for value in (0, 3, 1)]  # to read, into the nearest cache, data


@intrinsic
@no_type_check
def prefetch(typing_context, array, row):
    """Begin to bring a row of a two-dimensional array into the cache, and do not wait for it."""

    def generate(context, builder, signature, args):
        own = context.make_array(signature.args[0])(context, builder, args[0])
        stride = cgutils.unpack_tuple(builder, own.strides, 2)[0]
        place = builder.gep(builder.bitcast(own.data, _BYTES), [builder.mul(stride, args[1])])
        kind = ir.FunctionType(ir.VoidType(), [_BYTES, *(value.type for value in _KINDS)])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8"), [place, *_KINDS])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
