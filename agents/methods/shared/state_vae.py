"""Generators of states, with a distribution for each slot: a conditional variational autoencoder, or Gaussians alone.

They keep no state that they were shown: of each slot a mean and principal directions, and networks' weights.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch as th
from torch import nn
from typing_extensions import override

from clrobot.agents.compiler import Adam

COMPONENTS = 16  # of each slot's prior
CONSTANT = 1e-5  # a direction of a smaller deviation (in the observation's scaled numbers) does not vary
_LOG_NOISE_LIMITS = (-4.0, 1.0)


class Linear(nn.Module):
    """An affine layer, y = x W + b_slot, whose bias is the slot's own; drawn from the generator it is given."""

    def __init__(self, inputs: int, outputs: int, generator: th.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(th.randn(inputs, outputs, generator=generator) / math.sqrt(inputs))
        self.biases = nn.Parameter(th.zeros(0, outputs))

    def add_slot(self) -> None:
        """Give the next slot its bias, zero."""
        self.biases = nn.Parameter(th.cat([self.biases.detach(), self.biases.new_zeros(1, self.biases.shape[1])]))

    def forward(self, x: th.Tensor, slot: th.Tensor) -> th.Tensor:
        """Return (B, outputs) for x (B, inputs) and slots (B,)."""
        y: th.Tensor = x @ self.weight + self.biases.index_select(0, slot)
        return y


class Frames(nn.Module):
    """For each slot, the coordinates in which its states have mean 0, variance 1 and no correlation.

    A direction that does not vary, because an observation is constant or is a linear combination of others, has no
    coordinate, so that whatever is generated reproduces it exactly. They are moments of the states, no states.

    Args:
        size: of a state, d.
        both_ways: whether they lead to the coordinates too, or only from them to the states.
    """

    mean: th.Tensor  # (K, d)
    directions: th.Tensor  # (K, d, d): columns, principal directions times deviations; zero where nothing varies
    whitening: th.Tensor  # (K, d, d): rows of coordinates, the directions' inverse

    def __init__(self, size: int, *, both_ways: bool = True) -> None:
        super().__init__()
        self.register_buffer("mean", th.zeros(0, size))
        self.register_buffer("directions", th.zeros(0, size, size))
        if both_ways:
            self.register_buffer("whitening", th.zeros(0, size, size))

    def add_slot(self, states: th.Tensor) -> None:
        """Take the next slot's moments from its states (n, d)."""
        x = states.double()
        constant = (states == states[:1]).all(0)
        # The average of equal numbers may differ from them in the last bit.
        mean = th.where(constant, x[0], x.mean(0))
        centred = x - mean
        variance, vectors = th.linalg.eigh(centred.T @ centred / len(x))
        deviation = variance.clamp_min(0).sqrt()
        varies = deviation > CONSTANT
        directions = th.where(varies, vectors * deviation, 0.0)
        # eigh leaves rounding errors of 1e-17 in the rows of constant observations.
        directions[constant] = 0.0
        whitening = th.where(varies, vectors / deviation.clamp_min(CONSTANT), 0.0).T
        found = {"mean": mean, "directions": directions, "whitening": whitening}
        for name, old in list(self.named_buffers()):
            setattr(self, name, th.cat([old, found[name].to(old)[None]]))

    def to_coordinates(self, states: th.Tensor, slot: int) -> th.Tensor:
        """Return the coordinates (n, d) of states (n, d) of one slot."""
        return (states - self.mean[slot]) @ self.whitening[slot].T

    def to_states(self, coordinates: th.Tensor, slot: th.Tensor) -> th.Tensor:
        """Return the states (n, d) of coordinates (n, d), row i in the frame of slot[i]."""
        every = th.einsum("nd,ked->nke", coordinates, self.directions)  # (n, K, d): K is small
        chosen = every.gather(1, slot[:, None, None].expand(-1, 1, every.shape[2])).squeeze(1)
        return chosen + self.mean.index_select(0, slot)


class Prior(nn.Module):
    """For each slot a mixture of diagonal Gaussians over the latent variable z (B, L)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.means = nn.Parameter(th.zeros(0, COMPONENTS, latent))
        self.log_stds = nn.Parameter(th.zeros(0, COMPONENTS, latent))
        self.logits = nn.Parameter(th.zeros(0, COMPONENTS))

    def add_slot(self, generator: th.Generator) -> None:
        """Give the next slot its components: of deviation 1, around points drawn with deviation 1."""
        means, log_stds, logits = self.means.detach(), self.log_stds.detach(), self.logits.detach()
        centres = _normal(means.new_empty(1, *means.shape[1:]), generator)
        self.means = nn.Parameter(th.cat([means, centres]))
        self.log_stds = nn.Parameter(th.cat([log_stds, th.zeros_like(centres)]))
        self.logits = nn.Parameter(th.cat([logits, logits.new_zeros(1, COMPONENTS)]))

    def log_density(self, z: th.Tensor, slot: th.Tensor) -> th.Tensor:
        """Return log p(z|k), (B,), but for the constant ½ L log 2π."""
        means, log_stds = self.means.index_select(0, slot), self.log_stds.index_select(0, slot)
        each = (-0.5 * ((z[:, None] - means) * th.exp(-log_stds)).square() - log_stds).sum(2)
        log_weights = self.logits.log_softmax(1).index_select(0, slot)
        density: th.Tensor = (each + log_weights).logsumexp(1)
        return density

    def sample(self, slot: th.Tensor, generator: th.Generator) -> th.Tensor:
        """Return z (n, L) for slots (n,)."""
        weights = self.logits.softmax(1).index_select(0, slot)
        which = th.multinomial(weights.cpu(), 1, generator=generator).squeeze(1).to(slot.device)
        mean, log_std = self.means[slot, which], self.log_stds[slot, which]
        return mean + log_std.exp() * _normal(mean, generator)


class StateGenerator(nn.Module, ABC):
    """Generates states of the slots that it has learned; every draw is from the `generator` that is passed in."""

    frames: Frames

    @property
    def size(self) -> int:
        """The numbers in a state, d."""
        return self.frames.mean.shape[1]

    @property
    def slots(self) -> int:
        """The number of slots whose states it generates."""
        return len(self.frames.mean)

    @abstractmethod
    def add_slot(self, states: th.Tensor, generator: th.Generator) -> None:
        """Prepare for the states (n, d) of the next slot; `fit` is still to come."""

    @abstractmethod
    def sample_coordinates(self, slot: th.Tensor, generator: th.Generator) -> th.Tensor:
        """Return generated coordinates (n, d) for slots (n,)."""

    def sample(self, slot: th.Tensor, generator: th.Generator) -> th.Tensor:
        """Return generated states (n, d) for slots (n,)."""
        return self.frames.to_states(self.sample_coordinates(slot, generator), slot)

    @abstractmethod
    def fit(
        self,
        states: th.Tensor,
        earlier: Callable[[th.Tensor], th.Tensor],
        *,
        iterations: int,
        batch_size: int,
        generator: th.Generator,
    ) -> None:
        """Learn the newest slot's states (n, d) beside the earlier slots' coordinates, which `earlier` gives.

        Args:
            states: of the newest slot.
            earlier: from slots (m,) to generated coordinates (m, d).
            iterations: minibatches.
            batch_size: rows of each.
            generator: of all draws.
        """


class StateGaussian(StateGenerator):
    """Each slot's Gaussian, N(mean, covariance) of its states: what the autoencoder is to be better than.

    Args:
        size: of a state, d.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.frames = Frames(size, both_ways=False)

    @override
    def add_slot(self, states: th.Tensor, generator: th.Generator) -> None:
        self.frames.add_slot(states)

    @override
    def sample_coordinates(self, slot: th.Tensor, generator: th.Generator) -> th.Tensor:
        return _normal(self.frames.mean[:1].expand(len(slot), -1), generator)

    @override
    def fit(
        self,
        states: th.Tensor,
        earlier: Callable[[th.Tensor], th.Tensor],
        *,
        iterations: int,
        batch_size: int,
        generator: th.Generator,
    ) -> None:
        """Do nothing: the moments are all that it learns."""


class StateVAE(StateGenerator):
    """A variational autoencoder of coordinates c (in `Frames`), conditioned on the slot k (Kingma & Welling 2014).

        E_{z~q(z|c,k)} [log N(c; μ(z, k), σ_k²) + log p(z|k) - log q(z|c,k)]   is maximised.

    The prior p is a learned mixture (as Tomczak & Welling 2018 argue for, here with free components): states of a
    robot's task lie in clusters, on the path and at the goal, and one Gaussian also covers the gaps between them,
    from which states would be generated that never occur. The decoder's noise σ_k is learned (Rybkin et al. 2021),
    one number for each coordinate and slot: it is added to what is generated, which is otherwise too smooth. A
    decoder that has learned nothing thus generates Gaussian states of the slot's exact moments; what it learns are
    the shapes beyond.

    Every draw is from the `generator` that is passed in.

    Args:
        size: of a state, d.
        width: of the hidden layers.
        latent: the size of z.
        generator: for the initial weights.
    """

    def __init__(self, size: int, width: int, latent: int, generator: th.Generator) -> None:
        super().__init__()
        self.width, self.latent = width, latent
        self.frames = Frames(size)
        self.encoder = nn.ModuleList(
            [Linear(size, width, generator), Linear(width, width, generator), Linear(width, 2 * latent, generator)]
        )
        self.decoder = nn.ModuleList(
            [Linear(latent, width, generator), Linear(width, width, generator), Linear(width, size, generator)]
        )
        self.prior = Prior(latent)
        self.log_noise = nn.Parameter(th.zeros(0, size))

    @override
    def add_slot(self, states: th.Tensor, generator: th.Generator) -> None:
        self.frames.add_slot(states)
        self.prior.add_slot(generator)
        for layer in [*self.encoder, *self.decoder]:
            assert isinstance(layer, Linear)
            layer.add_slot()
        new = self.log_noise.new_zeros(1, self.size)
        self.log_noise = nn.Parameter(th.cat([self.log_noise.detach(), new]))

    def _noise(self, slot: th.Tensor) -> th.Tensor:
        return self.log_noise.clamp(*_LOG_NOISE_LIMITS).index_select(0, slot)

    def loss(self, coordinates: th.Tensor, slot: th.Tensor, generator: th.Generator) -> th.Tensor:
        """Return the negative evidence bound, a mean over rows, but for a constant."""
        code = _through(self.encoder, coordinates, slot)
        mean, log_std = code.chunk(2, dim=1)
        log_std = log_std.clamp(-6.0, 2.0)
        noise = _normal(mean, generator)
        z = mean + log_std.exp() * noise
        log_noise = self._noise(slot)
        error = (coordinates - _through(self.decoder, z, slot)) * th.exp(-log_noise)
        log_likelihood = (-0.5 * error.square() - log_noise).sum(1)
        log_posterior = (-0.5 * noise.square() - log_std).sum(1)  # of z itself
        return (log_posterior - self.prior.log_density(z, slot) - log_likelihood).mean()

    @override
    @th.no_grad()
    def sample_coordinates(self, slot: th.Tensor, generator: th.Generator) -> th.Tensor:
        mean = _through(self.decoder, self.prior.sample(slot, generator), slot)
        return mean + self._noise(slot).exp() * _normal(mean, generator)

    @override
    def fit(
        self,
        states: th.Tensor,
        earlier: Callable[[th.Tensor], th.Tensor],
        *,
        iterations: int,
        batch_size: int,
        generator: th.Generator,
    ) -> None:
        """Learn the newest slot's states (n, d) beside the earlier slots' coordinates, which `earlier` gives.

        Every slot has the same share of each minibatch (Shin et al. 2017, section 3, with equal importance). Adam's
        step size falls along a half cosine.
        """
        self.requires_grad_(True)
        newest = self.slots - 1
        coordinates = self.frames.to_coordinates(states, newest)
        device = states.device
        optimizer = Adam(self.parameters(), lr=2e-3, fused=True)
        for i in range(iterations):
            optimizer.param_groups[0]["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * i / iterations))
            slot = th.arange(batch_size, device=device) % self.slots
            batch = th.empty(batch_size, self.size, device=device)
            new = slot == newest
            rows = th.randint(len(states), (int(new.sum()),), generator=generator).to(device)
            batch[new] = coordinates.index_select(0, rows)
            if newest:
                batch[~new] = earlier(slot[~new])
            loss = self.loss(batch, slot, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.requires_grad_(False)


def _through(layers: nn.ModuleList, x: th.Tensor, slot: th.Tensor) -> th.Tensor:
    for layer in layers[:-1]:
        x = nn.functional.silu(layer(x, slot))
    out: th.Tensor = layers[-1](x, slot)
    return out


def _normal(like: th.Tensor, generator: th.Generator) -> th.Tensor:
    return th.randn(like.shape, generator=generator).to(like.device)
