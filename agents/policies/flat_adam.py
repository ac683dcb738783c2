"""Adam over parameters that lie in one tensor: one step, one norm and one zeroing for all of them.

    m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²,   θ ← θ - α (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)

(Kingma & Ba 2015). A network as small as these has a dozen parameters, and whatever is done to each of them by itself
costs more than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import torch as th
from torch.nn.utils import get_total_norm
from torch.optim.adam import adam
from typing_extensions import override

from clrobot.agents.compiler import Adam


class _Segment(NamedTuple):
    """Neighbours whose moments are of the same age t, as one tensor each (n,)."""

    parameters: th.Tensor
    gradients: th.Tensor
    exp_avg: th.Tensor
    exp_avg_sq: th.Tensor
    step: th.Tensor  # (), t


class FlatAdam(Adam):
    """Adam whose parameters, gradients and moments are views of one tensor each.

    Whoever looks at a parameter, its `grad` or its moments sees what torch's Adam would show, and may change them in
    place. Two things differ: a parameter of which the loss makes no use has a gradient of zero rather than none, and
    moments, of zeros, are there before the first step.

    Args:
        parameters: on one device and of one type; they are moved into the tensor.
        lr: α.
        moments: of some of the parameters, as torch's Adam keeps them (`state`), with which they go on.
        eps: ε.
        betas: β₁ and β₂.
    """

    def __init__(
        self,
        parameters: Iterable[th.Tensor],
        lr: float,
        *,
        moments: Mapping[Any, Mapping[str, th.Tensor]] | None = None,
        eps: float = 1e-8,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(parameters, lr=lr, eps=eps, betas=betas, fused=True)
        own: list[th.Tensor] = self.param_groups[0]["params"]
        sizes = [p.numel() for p in own]
        self._flat = th.cat([p.detach().flatten() for p in own])
        self._bounds = [0, *th.tensor(sizes).cumsum(0).tolist()]
        self.gradient = th.zeros_like(self._flat)
        """Of all parameters, one after another (P,)."""
        self._exp_avg, self._exp_avg_sq = th.zeros_like(self._flat), th.zeros_like(self._flat)
        self._gradients: list[th.Tensor] = []
        for i, p in enumerate(own):
            p.data = self._view(self._flat, i)
            self._gradients.append(self._view(self.gradient, i))
            self.state[p] = {
                "step": self._flat.new_zeros(()),
                "exp_avg": self._view(self._exp_avg, i),
                "exp_avg_sq": self._view(self._exp_avg_sq, i),
            }
        self._segments: list[_Segment] = []
        for p in own:
            if moments and p in moments:
                self.load_moments(p, moments[p])

    def _view(self, flat: th.Tensor, i: int) -> th.Tensor:
        shape = self.param_groups[0]["params"][i].shape
        return flat[self._bounds[i] : self._bounds[i + 1]].view(shape)

    def load_moments(self, parameter: th.Tensor, moments: Mapping[str, th.Tensor]) -> None:
        """Set a parameter's `exp_avg` and `exp_avg_sq`, in its shape, and `step`, their age.

        Raises:
            KeyError, RuntimeError: they lack one, or are of another shape.
        """
        state = self.state[parameter]
        # Its own count: it has shared its neighbours' until now.
        state["step"] = moments["step"].detach().clone().to(self._flat).reshape(())
        for name in ("exp_avg", "exp_avg_sq"):
            if moments[name].shape != parameter.shape:
                raise RuntimeError(f"{name} of shape {tuple(moments[name].shape)}; expected {tuple(parameter.shape)}")
            state[name].copy_(moments[name])
        self._segments = []

    def _divide(self) -> list[_Segment]:
        """Return the segments: neighbours with moments of the same age, which from now on they count together."""
        own = self.param_groups[0]["params"]
        segments = []
        for age, places in groupby(range(len(own)), lambda i: float(self.state[own[i]]["step"])):
            among = list(places)
            rows = slice(self._bounds[among[0]], self._bounds[among[-1] + 1])
            step = self._flat.new_tensor(age)
            for i in among:
                self.state[own[i]]["step"] = step
            moments = self._exp_avg[rows], self._exp_avg_sq[rows]
            segments.append(_Segment(self._flat[rows], self.gradient[rows], *moments, step))
        return segments

    @override
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to zero; they stay views of `gradient` in either case."""
        self.gradient.zero_()
        for p, view in zip(self.param_groups[0]["params"], self._gradients, strict=True):
            p.grad = view

    def gather(self) -> None:
        """Take in gradients that somebody set anew (`p.grad = …`) rather than in place."""
        for p, view in zip(self.param_groups[0]["params"], self._gradients, strict=True):
            if p.grad is not view:
                if p.grad is None:
                    view.zero_()
                else:
                    view.copy_(p.grad)
                p.grad = view

    @th.no_grad()
    def clip(self, limit: float) -> th.Tensor:
        """Scale the gradient to a norm of at most `limit`, and return its norm (), from before.

        g ← g · min(1, limit / (‖g‖ + 10⁻⁶)),  as torch's `clip_grad_norm_` does
        """
        self.gather()
        norm = self.norm()
        self.gradient.mul_((limit / (norm + 1e-6)).clamp_(max=1.0))
        return norm

    def norm(self) -> th.Tensor:
        """Return the gradient's norm ()."""
        # The norm of the parameters' norms, as torch's clipping takes it: that of the whole differs by rounding.
        return get_total_norm(self._gradients)

    @override
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step of Adam."""
        loss = None
        if closure is not None:
            with th.enable_grad():
                loss = closure()
        self.gather()
        self._segments = self._segments or self._divide()
        group = self.param_groups[0]
        columns = [list(column) for column in zip(*self._segments, strict=True)]
        parameters, gradients, exp_avgs, exp_avg_sqs, steps = columns
        with th.no_grad():
            adam(
                parameters,
                gradients,
                exp_avgs,
                exp_avg_sqs,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=0.0,
                eps=group["eps"],
                maximize=False,
            )
        return loss

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        own = self.param_groups[0]["params"]
        for index, moments in state_dict["state"].items():
            self.load_moments(own[index], moments)
        self.param_groups[0].update({k: v for k, v in state_dict["param_groups"][0].items() if k != "params"})
