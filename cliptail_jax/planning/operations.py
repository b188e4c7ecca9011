"""Counts the operations in a step's matrix products and convolutions, before the step is compiled.

Compilers count the body of a loop only once, and XLA's compiler for GPUs counts nothing.
"""

import math

from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params

# The number of matrix products of [length, head width] and [head width, length] in cuDNN's attention, whose backward pass
# recomputes one of them.
ATTENTION = {"dot_product_attention_fwd_wrapper": 2, "dot_product_attention_bwd_wrapper": 5}


def operations(jaxpr: Jaxpr) -> int:
    """The number of multiplications and additions in matrix products and convolutions, over all devices."""
    return sum(_equation_operations(equation) for equation in jaxpr.eqns)


def _equation_operations(equation: JaxprEqn) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        ((axes, _), _), operand = parameters["dimension_numbers"], equation.invars[0].aval
        return 2 * equation.outvars[0].aval.size * math.prod(operand.shape[axis] for axis in axes)
    if name == "conv_general_dilated":
        kernel, outputs = equation.invars[1].aval, equation.outvars[0].aval.size
        taps = kernel.size // kernel.shape[parameters["dimension_numbers"].rhs_spec[0]]
        # The zeros that a dilation inserts between inputs are not multiplied.
        return 2 * outputs * taps // math.prod(parameters["lhs_dilation"])
    if name in ATTENTION:
        query, key = (x.aval for x in equation.invars[:2])  # [batch, length, head, width]
        return ATTENTION[name] * 2 * query.size * key.shape[1]
    counts = [operations(jaxpr) for jaxpr in jaxprs_in_params(parameters)]
    if name == "cond":
        return max(counts)
    if name == "shard_map":
        return sum(counts) * parameters["mesh"].size
    if name == "pallas_call":
        return sum(counts) * math.prod(parameters["grid_mapping"].grid)
    return sum(counts) * (parameters["length"] if name == "scan" else 1)
