"""A network's one pass, refined by a few more passes of the same network as a plain denoiser.

    z_0 = R(y, A, s_n),    x_k = argmin_u |A u - y|^2 + lambda (s_n / s_k)^2 |u - z_{k-1}|^2,    z_k = D(x_k, s_k),  k = 1 ... K

with D(x, s) = E[u | u + s e = x], the state mode where nothing was measured. s_k falls evenly in log to s_n from SHARE
sqrt(v), v the expected error of the Wiener estimate, or from r, what the network expects of its one pass (RMS, of an image of
mean square one), if that is less: what one pass has found where the sensor hardly sees is not to be lost in noise. One pass
leaves what a fixed number of products with the sensor cannot reach: where a scene is known well from few samples (points,
edges, pictures) the steps bring several decibels. Of speckle, whose best estimate is a mean over all that the data leave
open, they find one image of many, and lose. The network says which of the two it is: r^2 is small in the first case, near one
in the second. The result is the mean of both, z_K weighed by the share that one pass expects to explain,

    x = r^2 z_0 + (1 - r^2) z_K,    r^2 one at most.

SHARE, lambda and K were chosen on a few simulated scenes of every kind, not those of any benchmark.

Source: Zhang et al. (2021), Plug-and-Play Image Restoration with Deep Denoiser Prior, section 4 (half-quadratic splitting).
"""

from __future__ import annotations

import torch

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.denoiser import RAMDenoiser
from echoform.nets.half_quadratic import denoised_in_turns
from echoform.nets.ram import RAM
from echoform.recon.discrepancy import relative_residual
from echoform.recon.network import ready_for_inference
from echoform.recon.reconstructor import Estimate, Reconstructor

#: error that one pass leaves at most, as it is taken here, over that of the Wiener estimate
SHARE = 0.6
#: lambda, what the denoiser weighs against the data
TRADE_OFF = 0.1
#: steps, each one pass of the network and one proximal step of the sensor
STEPS = 8


class RefinedNetwork(Reconstructor):
    """RAM's one pass and K half-quadratic steps: K + 1 passes of the network in all.

    Args:
        network: RAM with the state head.
        steps: K, two at least.

    Raises:
        ValueError: fewer than two steps, or the official head, which is no denoiser at a level of its own.
    """

    def __init__(self, network: RAM, *, steps: int = STEPS) -> None:
        super().__init__()
        if steps < 2:
            raise ValueError(f"refinement needs steps >= 2, got {steps}")
        if network.config.embedding == 0:
            raise ValueError("refinement needs weights with a state mode; the official head has none: use ram instead")
        ready = ready_for_inference(network)
        assert isinstance(ready, RAM)
        self.network, self.steps = ready, steps
        self.denoiser = RAMDenoiser(ready)

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return x; nothing random is drawn; facts: ``residual`` (|A x - y|^2 / |y|^2).

        Raises:
            ValueError: the noise has no positive level, or is neither Gaussian nor that of counts.
        """
        sensing = self.network.prepare(measurement)
        first = self.network.denoise_normalized(sensing, None)
        level = torch.minimum(SHARE * first.given.variance.sqrt(), first.error.sqrt())
        last = denoised_in_turns(
            sensing, first.image, self.denoiser, first=level, steps=self.steps, trade_off=TRADE_OFF
        )
        unexplained = expand(first.error.clamp_max(1), 3)
        image = sensing.restored(unexplained * first.image + (1 - unexplained) * last)
        return Estimate(image, facts={"residual": relative_residual(measurement, image)})
