"""The names of the families of problems, for the command line; kept apart from them so that help needs no torch."""

from __future__ import annotations

#: name in :data:`echoform.train.problems.catalogue.FAMILIES`; a test holds the two together
PROBLEM_FAMILIES = (
    "fourier",
    "spotlight",
    "spotlight-near",
    "polarimetry",
    "stripmap",
    "repeat-pass",
    "interferometry",
    "range-angle",
    "range-angle-doppler",
    "near-range",
    "born",
    "born-volume",
    "born-background",
    "ground",
    "mri",
    "denoising",
    "deblurring",
    "inpainting",
    "super-resolution",
    "demosaicing",
    "pansharpening",
    "compressed-sensing",
    "tomography",
    "complex-denoising",
    "complex-inpainting",
    "strata",
)
