"""The checker that jaxtyping's import hook puts on every function of the package under test."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype, with ints allowed where floats are expected, as the typing rules have it."""
