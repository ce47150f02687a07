"""Laws of size: which model and how much text a budget of operations is best spent on, and what loss to expect.

Words: parameters N are those at work on a token, the head among them and the
table it is looked up in not, tokens D are story tokens (raw text, before masking), a budget
C is training operations. Losses are of any unit, as long as all of a law's are of one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rot5.errors import UserError


class Point(NamedTuple):
    """One finished run."""

    parameters: float
    """Parameters at work on a token (`compute.working_parameters`)."""
    tokens: float
    """Story tokens trained on, repetitions counted."""
    flops: float
    """Operations of the whole training."""
    loss: float
    """Held-out loss, in nats per token or bits per byte."""
    name: str = ""
    group: str = ""
    """Runs of one compute budget; empty to find the budgets by what the runs cost."""


class Optimum(NamedTuple):
    """The best use of a budget."""

    parameters: float
    tokens: float


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """N = n_factor C^n_exponent and D = d_factor C^d_exponent; says nothing about losses."""

    n_factor: float
    n_exponent: float
    d_factor: float
    d_exponent: float

    def optimal(self, flops: float) -> Optimum:
        """Parameters and story tokens for a budget."""
        return Optimum(self.n_factor * flops**self.n_exponent, self.d_factor * flops**self.d_exponent)

    def budget(self, tokens: float) -> float:
        """The budget for which so many tokens are the best number."""
        return (tokens / self.d_factor) ** (1 / self.d_exponent)


@dataclass(frozen=True, kw_only=True)
class ParametricLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, arXiv:2203.15556, approach 3); C = k N D."""

    E: float
    """Loss of an endless model on endless text."""
    A: float
    alpha: float
    B: float
    beta: float
    k: float
    """Operations per parameter and story token (6 for a decoder without attention), the geometric mean of the runs."""

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """The loss to expect, of the shape of the arguments."""
        n, d = np.asarray(parameters, np.float64), np.asarray(tokens, np.float64)
        return self.E + self.A * n**-self.alpha + self.B * d**-self.beta

    @property
    def a(self) -> float:
        """Exponent of the budget in the best number of parameters."""
        return self.beta / (self.alpha + self.beta)

    @property
    def b(self) -> float:
        """Exponent of the budget in the best number of tokens."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def _balance(self) -> float:
        """G of the paper's equation 4."""
        return (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))

    def optimal(self, flops: float) -> Optimum:
        """Where the loss is least for a budget (equation 4 of the paper, with k in place of 6)."""
        return Optimum(self._balance * (flops / self.k) ** self.a, (flops / self.k) ** self.b / self._balance)

    def budget(self, tokens: float) -> float:
        """The budget for which so many tokens are the best number."""
        return self.k * (tokens * self._balance) ** (1 / self.b)


@dataclass(frozen=True, kw_only=True)
class IsoflopLaw:
    """log N = a log C + c, through the minima of curves of equal budget (the paper's approach 2); C = k N D."""

    a: float
    c: float
    k: float
    """Operations per parameter and story token, the geometric mean of the runs."""

    def optimal(self, flops: float) -> Optimum:
        """Parameters and story tokens for a budget."""
        parameters = float(np.exp(self.c + self.a * np.log(flops)))
        return Optimum(parameters, flops / (self.k * parameters))

    def budget(self, tokens: float) -> float:
        """The budget for which so many tokens are the best number."""
        return float((tokens * self.k * np.exp(self.c)) ** (1 / (1 - self.a)))


Law = PowerLaw | ParametricLaw | IsoflopLaw

KINDS: dict[str, type[Law]] = {"power": PowerLaw, "parametric": ParametricLaw, "isoflop": IsoflopLaw}

CHINCHILLA = PowerLaw(n_factor=0.6, n_exponent=0.45, d_factor=0.3, d_exponent=0.55)
"""What the original experiment sized its mini by: constants read off a fit of decoder-only models."""


def optimal(law: Law, flops: float) -> Optimum:
    """The best number of parameters and of story tokens for a budget. Raises UserError for a budget not above 0."""
    if not flops > 0:
        raise UserError(f"a budget of {flops:g} operations is not above 0")
    return law.optimal(flops)


def budget(law: Law, tokens: float) -> float:
    """The budget for which so many story tokens are the best number. Raises UserError for a number not above 0."""
    if not tokens > 0:
        raise UserError(f"{tokens:g} story tokens are not above 0")
    return law.budget(tokens)


def as_dict(law: Law) -> dict[str, Any]:
    """A law as JSON: its `kind` (power, parametric or isoflop) and its constants by the names of the fields."""
    kind = next(name for name, known in KINDS.items() if isinstance(law, known))
    return {"kind": kind, **asdict(law)}


def laws_from(found: Mapping[str, Any]) -> dict[str, Law]:
    """Every law of a dict by its kind: of one law, or of a fit with `parametric` and `isoflop` under their names.

    Raises UserError for what holds no law, or one with constants missing or impossible.
    """
    if "kind" in found:
        law = _law(found)
        return {found["kind"]: law}
    inner = [found[name] for name in ("parametric", "isoflop") if isinstance(found.get(name), Mapping)]
    laws = {each["law"]["kind"]: _law(each["law"]) for each in inner if isinstance(each.get("law"), Mapping)}
    if not laws:
        raise UserError(f"no law here: needs `kind` ({', '.join(KINDS)}), or a fit with `parametric` or `isoflop`")
    return laws


def _law(found: Mapping[str, Any]) -> Law:
    kind = found.get("kind")
    if kind not in KINDS:
        raise UserError(f"unknown kind of law {kind!r}: known are {', '.join(KINDS)}")
    names = KINDS[kind].__dataclass_fields__
    wrong = [
        name for name in names if isinstance(found.get(name), bool) or not isinstance(found.get(name), int | float)
    ]
    if wrong:
        raise UserError(f"the {kind} law needs a number for {', '.join(wrong)}")
    free = {"E", "c"}
    if bad := [name for name in names if not np.isfinite(found[name]) or (name not in free and found[name] <= 0)]:
        raise UserError(f"the {kind} law has impossible values: {', '.join(f'{name} {found[name]:g}' for name in bad)}")
    if kind == "isoflop" and found["a"] >= 1:
        raise UserError(f"the isoflop law has an impossible value: a {found['a']:g} must be below 1")
    return KINDS[kind](**{name: float(found[name]) for name in names})


def read_laws(path: Path) -> dict[str, Law]:
    """Every law of a JSON file by its kind. Raises UserError for a file that cannot be read or holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the law {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no law: it must be an object with `kind`, or a fit")
    try:
        return laws_from(found)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
