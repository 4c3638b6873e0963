"""Whitelam, Generative thermodynamic computing: what is measured again, beside what he and others found."""

from __future__ import annotations

from labctl.client import Compared, Paper, Reproduction

_THREE = {"classes": (0, 7, 9), "hidden_amplitude": None, "hidden_weight": 1.0}

_ACTION = Reproduction(
    "langevin.step-action",
    "Eqs. (7), (10), (11)",
    (
        Compared(
            "finite_difference",
            0.0,
            by="derived",
            within=1e-9,
            label="derivatives of the action, off central differences",
            why="In Eq. (10) the coordinate is the one after the step; with the one before, derivatives are wrong.",
        ),
    ),
    cost_s=(0.3, 0.3),
)
_UNIT = Reproduction(
    "langevin.unit",
    "Eqs. (1), (2)",
    (
        Compared(
            "second",
            0.04087807,
            by="theory",
            within=0.0008,
            label="⟨x²⟩ of a unit",
            why="Quadrature of the Boltzmann distribution. Euler’s time step of 1e-3 adds one per cent.",
        ),
        Compared("mean", 0.0, by="theory", within=0.0, label="⟨x⟩ of a unit"),
    ),
    cost_s=(0.3, 0.3),
)
_TRAIN = Reproduction(
    "langevin.train",
    "training, Eqs. (8) to (11)",
    (Compared("action", label="action of an image’s trajectory reversed, less that without couplings", unit="k_BT"),),
    quick={"size": 14, "hidden": 128},
    cost_s=(10, 3),
    note="The paper prints no number of its training.",
)
_DIGITS = Reproduction(
    "langevin.digits",
    "Fig. 2",
    (
        Compared(
            "correlation",
            0.941,
            0.017,
            by="independent",
            within=0.0,
            stated_error="correlation_err",
            label="|correlation| with the digits 0, 7, 9, 784 + 512 units",
            why="The paper shows images. Independent: amplitude 36, by parts of the image; the ± there and here is a "
            "spread of images.",
        ),
        Compared("smallest_share", label="share of the rarest digit"),
    ),
    given=_THREE,
    quick={"trajectories": 64, "scheme": "averaged", "dt": 0.0025},
    cost_s=(12, 6),
    name="langevin.digits of three",
)
_TEN = Reproduction(
    "langevin.digits",
    "more digits than Fig. 2",
    (Compared("recognised", label="recognised as one of ten digits"),),
    quick={"size": 14, "hidden": 128, "trajectories": 64, "scheme": "averaged", "dt": 0.0025},
    cost_s=(25, 6),
    note="The paper has three digits; ten are beyond it.",
)
_HEAT = Reproduction(
    "langevin.heat",
    "heat of 1000 trajectories",
    (
        Compared(
            "heat",
            2.9e3,
            by="paper",
            within=100.0,
            label="mean heat",
            unit="k_BT",
            why="The paper does not give the amplitude of biases; that of the default was chosen so that this mean "
            "comes out.",
        ),
        Compared(
            "heat_sd",
            3.5e2,
            by="paper",
            label="its spread",
            unit="k_BT",
            why="Not reproduced: hidden units are driven by a code of each image here, which tells images apart; "
            "driven by a part of the image, as the paper says, mixtures of digits come out, and the spread is 290 to "
            "430.",
        ),
        Compared(
            "identity_error",
            0.0,
            by="derived",
            within=1e-9,
            label="Eqs. (13), (14), nothing dropped: error of the identity",
        ),
    ),
    quick={"trajectories": 128, "scheme": "averaged", "dt": 0.0025, "reversed": 2},
    cost_s=(30, 9),
)
_PART = Reproduction(
    "langevin.heat",
    "heat, hidden units driven by part of the image",
    (
        Compared(
            "heat", 2.9e3, by="paper", label="mean heat", unit="k_BT", why="Amplitude 34; others give other means."
        ),
        Compared(
            "heat_sd",
            3.5e2,
            by="paper",
            within=120.0,
            label="its spread",
            unit="k_BT",
            why="The spread is that of mixtures; it depends on which part of which image is taken.",
        ),
    ),
    given={"hidden_drive": "part", "amplitude": 34.0, "trajectories": 256, "scheme": "averaged", "dt": 0.0025},
    quick={"trajectories": 128, "reversed": 2},
    cost_s=(25, 12),
    name="langevin.heat by part of the image",
)
_SPREAD = "Not a standard error but the spread of images or trajectories, as the independent computation states it."
_SMALL = Reproduction(
    "langevin.heat",
    "64 + 64 units",
    (
        Compared(
            "heat",
            315.0,
            by="independent",
            within=28.0,
            label="mean heat of 8 × 8 digits, amplitude 40",
            unit="k_BT",
            why=f"Spread 14 there. {_SPREAD}",
        ),
        Compared(
            "correlation", 0.935, by="independent", within=0.04, label="|correlation|", why=f"Spread 0.033. {_SPREAD}"
        ),
    ),
    given={"size": 8, "hidden": 64, "trajectories": 256},
    cost_s=(4, 4),
    name="langevin.heat of 64 + 64",
)
_TWENTY = Reproduction(
    "langevin.heat",
    "784 + 512 units, amplitude 20",
    (
        Compared(
            "heat",
            932.0,
            by="independent",
            within=90.0,
            label="mean heat, amplitude 20",
            unit="k_BT",
            why=f"Spread 71; hidden units driven by a part of the image there, by a code here. {_SPREAD}",
        ),
        Compared(
            "correlation", 0.895, by="independent", within=0.05, label="|correlation|", why=f"Spread 0.048. {_SPREAD}"
        ),
    ),
    given={"amplitude": 20.0, "trajectories": 256, "scheme": "averaged", "dt": 0.0025},
    quick={"trajectories": 64, "reversed": 2},
    cost_s=(12, 6),
    name="langevin.heat at amplitude 20",
)
_CAPACITY = Reproduction(
    "langevin.capacity",
    "digits against hidden units",
    (Compared("capacity_per_image", label="hidden units an image with which four in five outcomes are recognised"),),
    quick={"size": 14, "sizes": (16, 64, 128), "trajectories": 32},
    cost_s=(120, 10),
    note="Beyond the paper.",
)
_NOISE = Reproduction(
    "langevin.noise",
    "noise of dyads as the bath",
    (
        Compared(
            "second",
            0.04088,
            by="theory",
            within=0.0008,
            label="⟨x²⟩ of units driven by dyads’ noise",
            why="Steps of 5e-3 are long; averaged noise leaves 1 to 2 % of bias.",
        ),
        Compared("z", 0.0, by="theory", label="difference to pseudo-random numbers", unit="standard errors"),
    ),
    first={"noise": ("dyad.noise", {"images": 200, "alignment.dyad.rows": 5, "alignment.dyad.columns": 5})},
    quick={},
    cost_s=(150, 70),
    note="Joins two of the papers; neither has it.",
)

PAPER = Paper(
    "langevin",
    "S. Whitelam",
    "Generative thermodynamic computing",
    "2025",
    (_ACTION, _UNIT, _TRAIN, _DIGITS, _TEN, _HEAT, _PART, _SMALL, _TWENTY, _CAPACITY, _NOISE),
)
