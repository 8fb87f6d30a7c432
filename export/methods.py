"""Names of the ways to choose an activation's range; `clipping` has the ways."""

from typing import Literal, get_args

Method = Literal["auto", "mse", "minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)
