"""Deep image prior: the image is what an untrained convolutional decoder can draw, fitted to one measurement alone.

    min_theta |A f_theta(z) - y|^2,    z fixed noise,    stopped once |A f - y|^2 <= E |n|^2

The decoder fits structure before noise; stopping at the noise energy keeps the first and leaves the second. Every scene of a
batch has its own decoder and its own stop.

Source: Ulyanov, Vedaldi and Lempitsky (2018), Deep Image Prior; Darestani and Heckel (2021), IEEE Trans. Comput. Imaging 7, for
the decoder without skips.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.channels import from_channels
from echoform.nets.sensing import normalize
from echoform.recon.discrepancy import energy, relative_residual
from echoform.recon.reconstructor import Estimate, Reconstructor


class Decoder(nn.Module):
    """Fixed noise, then per scale doubling, 3 x 3 convolution, normalisation of each channel over the image, ReLU; a linear tail.

    The scenes of a batch lie side by side in the channel axis and never mix.

    Args:
        scenes: B.
        image_channels: real channels of one image.
        shape: (H, W), multiples of 2^scales.
        features: channels of one scene.
        scales: doublings between the noise and the image.
        generator: source of the noise and of the first weights.
    """

    noise: Tensor

    def __init__(
        self,
        scenes: int,
        image_channels: int,
        shape: tuple[int, int],
        *,
        features: int,
        scales: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        width = scenes * features
        coarse = [side // 2**scales for side in shape]
        self.register_buffer("noise", torch.randn(1, width, *coarse, generator=generator))
        self.layers = nn.ModuleList(
            [nn.Conv2d(width, width, 3, padding=1, groups=scenes, bias=False) for _ in range(scales + 1)]
        )
        self.normalisations = nn.ModuleList([nn.InstanceNorm2d(width, affine=True) for _ in range(scales + 1)])
        self.tail = nn.Conv2d(width, scenes * image_channels, 1, groups=scenes, bias=False)
        for layer in [*self.layers, self.tail]:
            assert isinstance(layer, nn.Conv2d)
            nn.init.normal_(layer.weight, std=math.prod(layer.weight.shape[1:]) ** -0.5, generator=generator)

    def forward(self) -> Tensor:
        """Return the images, (1, B image_channels, H, W)."""
        x = self.noise
        for i, (layer, normalisation) in enumerate(zip(self.layers, self.normalisations, strict=True)):
            if i:
                x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = functional.relu(normalisation(layer(x)))
        return self.tail(x)


class DeepImagePrior(Reconstructor):
    """The decoder's image at the step at which it explains the samples as well as the noise allows.

    Args:
        features: channels of the decoder.
        scales: doublings from its noise to the image.
        learning_rate: of Adam.
        max_iterations: bound on the number of steps, one A and one A^H each.
    """

    def __init__(
        self, *, features: int = 48, scales: int = 3, learning_rate: float = 0.01, max_iterations: int = 1000
    ) -> None:
        super().__init__()
        self.features = features
        self.scales = scales
        self.learning_rate = learning_rate
        self.max_iterations = max_iterations

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the image.

        Facts: ``iterations``; ``discrepancy`` (|A x - y|^2 / E |n|^2, median over the batch); ``residual`` (over |y|^2);
        ``unconverged``, the number of images that had not reached the noise energy at the last step.

        Raises:
            ValueError: the noise is not Gaussian of a positive level, or nothing was measured.
        """
        generator = generator or torch.Generator().manual_seed(0)
        with torch.inference_mode(False), torch.enable_grad():
            copied = replace(measurement, y=measurement.y.detach().clone())  # may come from an inference mode
            sensing = normalize(copied, multiple=max(8, 2**self.scales))
            allowed = sensing.operator.samples() * sensing.sigma.double().square()
            scenes, channels, height, width = sensing.backprojection.shape
            complex_image = sensing.backprojection.is_complex()
            shape = (height, width)
            decoder = Decoder(
                scenes,
                channels * (2 if complex_image else 1),
                shape,
                features=self.features,
                scales=self.scales,
                generator=generator,
            ).to(sensing.backprojection.device)
            optimizer = torch.optim.Adam(decoder.parameters(), lr=self.learning_rate)
            kept = torch.zeros_like(sensing.backprojection)
            done = torch.zeros(scenes, dtype=torch.bool, device=kept.device)
            power = energy(sensing.y)
            iterations = 0
            while iterations < self.max_iterations and not bool(done.all()):
                image = from_channels(decoder().reshape(scenes, -1, *shape), complex_image)
                residual = energy(sensing.operator(image) - sensing.y)
                kept = torch.where(expand(done, 3), kept, image.detach())
                done = done | (residual.detach() <= allowed)
                optimizer.zero_grad(set_to_none=True)
                (residual / power).sum().backward()
                optimizer.step()
                iterations += 1
            left = energy(sensing.operator(kept) - sensing.y)
            image = sensing.restored(kept).detach()
        facts = {
            "iterations": float(iterations),
            "discrepancy": float((left / allowed).median()),
            "unconverged": float((~done).sum()),
            "residual": relative_residual(measurement, image),
        }
        return Estimate(image, facts=facts)
