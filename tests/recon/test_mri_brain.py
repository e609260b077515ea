"""A real multi-coil brain at four-fold equispaced undersampling: every method makes more of it than filling in zeros.

Sensitivities and noise level come from the kept lines alone; benchmarks/mri_brain.py has more cases, scores and pictures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from echoform.assess.metrics import nmse_db
from echoform.measure.bart import read_bart, read_kspace
from echoform.measure.kspace import KSpace, kspace_measurement
from echoform.nets import weights
from echoform.physics.mri_masks import CentreLines, EquispacedLines
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.network import NetworkReconstructor

BRAIN = Path(__file__).parents[3] / "shared" / "data" / "mri_multicoil_brain" / "full.hdr"


@pytest.mark.slow
@pytest.mark.skipif(not BRAIN.exists(), reason="shared/data/mri_multicoil_brain is absent")
def test_methods_beat_zero_filling_on_the_real_brain() -> None:
    full = read_kspace(BRAIN)
    whole = read_bart(BRAIN)
    reference = whole.operator.adjoint(whole.y)
    mask = EquispacedLines(4, CentreLines(24)).draw(torch.Generator().manual_seed(0), 1, full.samples.shape[-1])[
        0, 0, 0
    ]
    kept = KSpace(full.samples * mask, full.measured & (mask > 0))
    measurement = kspace_measurement(BRAIN, kept, title="4x", notes={}, espirit=None)
    zero_filled = float(nmse_db(measurement.operator.adjoint(measurement.y), reference))
    methods = {
        "Tikhonov": Tikhonov(),
        "l1": SparseL1(),
        "RAM tiny": NetworkReconstructor(weights.load("echoform-tiny")),
    }
    found = {name: float(nmse_db(method(measurement).mean, reference)) for name, method in methods.items()}
    print(f"NMSE, dB: zero-filled {zero_filled:.2f}", *(f"{name} {value:.2f}" for name, value in found.items()))
    assert all(value < zero_filled - 0.5 for value in found.values())
