"""Sajnok and Matuszewski, near-equilibrium propagation: what is measured again, beside what they and others found."""

from __future__ import annotations

from labctl.client import Compared, Paper, Reproduction

_RESPONSE = Reproduction(
    "nep.response",
    "Eq. (13)",
    (Compared("residual", 0.0, by="derived", within=1e-9, label="largest |κ| of the steady states"),),
    cost_s=(1, 1),
    note="Steady states of Eq. (13), before any training.",
)
_GRADIENT = Reproduction(
    "nep.gradient",
    "Eqs. (11), (12)",
    (
        Compared(
            "cosine_V",
            label="cosine of the paper’s rule for V with the exact gradient",
        ),
        Compared(
            "cosine_w",
            label="the same for w",
            why="Near resonance the paper’s rule sends w the wrong way: at V = 0, w = (1, -1) it does.",
        ),
    ),
    cost_s=(1, 1),
)
_PUBLISHED_COSINES = {
    "nep_band": (1.000, 0.999, 0.994, 0.90, 0.07, -0.53),
    "nep_detuned": (1.000, 1.000, 1.000, 0.999, 0.988, -0.12),
    "conjugate_band": (1.000, 1.000, 1.000, 0.999, 0.999, 1.000),
}
_GAMMAS = (0.01, 0.03, 0.05, 0.1, 0.2, 0.5)
_KINDS = {
    "nep_band": "the paper’s rule, V in [0, 0.1]",
    "nep_detuned": "the paper’s rule, V in [0.5, 1]",
    "conjugate_band": "phase-conjugate nudge, V in [0, 0.1]",
}


def _allowed(cosine: float) -> float:
    """Of medians of 300 networks, wide where the cosine changes its sign."""
    return 0.15 if cosine < 0.5 else 0.03 if cosine < 0.95 else 0.005


_CHECK = Reproduction(
    "nep.gradient-check",
    "Eqs. (11), (12) against the exact gradient",
    tuple(
        Compared(
            f"{kind}[{k}]",
            published,
            by="independent",
            within=_allowed(published),
            quick=2 * _allowed(published),
            label=f"cosine, {_KINDS[kind]}, γ = {_GAMMAS[k]}",
            why="Medians of random networks; the paper does not say that its rule turns round near resonance."
            if published < 0
            else "",
        )
        for kind, cosines in _PUBLISHED_COSINES.items()
        for k, published in enumerate(cosines)
    ),
    quick={"networks": 100},
    cost_s=(15, 8),
)
_NUDGED = "The fixed nudge of a table instead of one that follows ψ."
_XOR = Reproduction(
    "nep.xor",
    "Fig. 3",
    (
        Compared("outputs[0]", 0.00, by="paper", within=0.005, label="|ψ|² for 00 after 15 epochs"),
        Compared("outputs[1]", 0.92, by="paper", within=0.005, label="for 01"),
        Compared("outputs[2]", 1.06, by="paper", within=0.005, label="for 10"),
        Compared("outputs[3]", 0.01, by="paper", within=0.005, label="for 11"),
        Compared("outputs[1]", 0.921, by="independent", within=5e-4, label="for 01"),
        Compared("outputs[2]", 1.064, by="independent", within=5e-4, label="for 10"),
        Compared("outputs[3]", 0.009, by="independent", within=5e-4, label="for 11"),
    ),
    given={"w": (1.1, -0.9)},
    repeats=(2, 2),
    cost_s=(1, 1),
    note="The paper does not say where it starts: these weights, V = 0 and one update per epoch with the mean lead to "
    "its numbers. It does not last: from there the paper’s rule loses what was learnt by the hundredth epoch.",
)
_INJECTED = Reproduction(
    "nep.xor",
    "Fig. 3, with an injected nudge",
    (
        Compared("outputs[1]", 0.924, by="independent", within=5e-4, label="|ψ|² for 01", why=_NUDGED),
        Compared("outputs[2]", 1.060, by="independent", within=6e-4, label="for 10"),
    ),
    given={"w": (1.1, -0.9), "nudge": "injected"},
    repeats=(2, 2),
    cost_s=(1, 1),
    name="nep.xor: injected nudge",
)
_XOR_NEAR = Reproduction(
    "nep.xor",
    "Fig. 3, from w = (1, -1)",
    (Compared("cost", label="cost after 15 epochs"),),
    cost_s=(1, 1),
    name="nep.xor from the solution",
    note="By symmetry nearly the solution already.",
)
_XOR_V = Reproduction(
    "nep.xor-V",
    "Fig. 6a to c",
    (Compared("cost", label="cost after 30 epochs"),),
    cost_s=(1, 1),
    note="V alone does not learn from V = 0; from the middle of the band, V = -1.05, it does. The paper prints no "
    "number.",
)
_XOR7 = Reproduction(
    "nep.xor7",
    "Fig. 6d to f",
    (Compared("cost", label="cost after 100 epochs"),),
    cost_s=(1, 1),
    note="Of 2,600 starts that were tried four learn in 60 epochs; this one is among them. The paper prints no number.",
)
_TRAIN = Reproduction(
    "nep.train",
    "training, Eqs. (11), (12)",
    (Compared("accuracy", label="share of samples learnt"),),
    cost_s=(1, 1),
)
_LESS = {"samples": 3000, "epochs": 6, "seeds": 1, "bounds": False, "watched": 200, "threads": 1}
_FEWER = "Quick: fewer images, fewer epochs, one seed; the difference is what that costs."
_MNIST = Reproduction(
    "nep.mnist",
    "Fig. 4",
    (
        Compared(
            "accuracy",
            0.903,
            by="paper",
            within=0.01,
            quick=0.06,
            label="accuracy of the paper’s rule on all test images",
            why="Not by the paper’s own words: plain steps of 0.1 reach 29.5 ± 0.5 % here; this is with Adam, a gain "
            f"and a floor on V. {_FEWER}",
        ),
        Compared(
            "linear",
            0.899,
            by="paper",
            label="accuracy of a linear network",
            why="Not judged: a linear network that is trained well is better than the paper’s, and than a detuned "
            "sheet.",
        ),
    ),
    given={"seeds": 2, "threads": 1},
    quick=_LESS,
    cost_s=(300, 18),
)
_CONJUGATE = Reproduction(
    "nep.mnist",
    "Fig. 4, phase-conjugate nudge",
    (
        Compared(
            "accuracy",
            0.9315,
            by="independent",
            within=0.01,
            quick=0.06,
            label="accuracy by a phase-conjugate nudge",
            why=f"Beyond the paper. Longer training and decay of weights than the independent one. {_FEWER}",
        ),
    ),
    given={"rule": "conjugate", "seeds": 1, "threads": 1, "bounds": False},
    quick={k: v for k, v in _LESS.items() if k != "bounds"},
    cost_s=(150, 18),
    name="nep.mnist: phase-conjugate",
)
_SMALL = Reproduction(
    "nep.mnist-small",
    "Fig. 7",
    (
        Compared(
            "accuracy_Vw",
            0.80,
            by="paper",
            within=0.05,
            quick=0.06,
            label="accuracy on 5 × 5 cells, V and w",
            why=f"The paper has about 80 %; Adam instead of plain steps is what makes it 83. {_FEWER}",
        ),
        Compared("accuracy_Vw", 0.831, by="independent", within=0.01, quick=0.06, label="the same"),
        Compared("accuracy_V", 0.521, by="independent", within=0.02, quick=0.06, label="accuracy, V alone"),
        Compared("accuracy_V", 0.53, by="paper", within=0.02, quick=0.06, label="accuracy, V alone"),
        Compared(
            "accuracy_literal_Vw", 0.80, by="paper", label="by the paper’s own words", why="Not reproduced: 35 ± 3 %."
        ),
    ),
    given={"seeds": 2, "threads": 1},
    quick={"samples": 4000, "epochs": 10, "seeds": 1, "watched": 200, "literal": False},
    cost_s=(80, 10),
)
_NONLINEARITY = Reproduction(
    "nep.nonlinearity",
    "Fig. 5",
    (
        Compared(
            "optimum",
            0.3,
            by="paper",
            label="g⟨ρ⟩/γ at which accuracy is highest",
            why="Not judged: 2,000 images and 12 epochs here, 10,000 and 50 there; the maximum is flat, worth about a "
            "point.",
        ),
    ),
    given={"threads": 1},
    quick={"samples": 300, "epochs": 3, "seeds": 1, "strengths": (0.0, 0.04, 0.16, 0.32)},
    cost_s=(500, 13),
)
_DIGITS = Reproduction(
    "nep.digits",
    "training in situ, by light",
    (Compared("difference", label="accuracy in situ less that by the equation"),),
    quick={"images": 20, "test": 25, "epochs": 1},
    cost_s=(300, 22),
    note="The paper proposes it; here a simulated table with two panels and a camera trains the sheet.",
)
_COST = Reproduction(
    "nep.cost",
    "time and energy",
    (
        Compared("training_s.table", label="training of ten cells on a table, a panel and a camera", unit="s"),
        Compared("cpu_s", label="the same on this processor", unit="s"),
    ),
    quick={"timed": 300, "timed_epochs": 2},
    cost_s=(30, 9),
)

PAPER = Paper(
    "nep",
    "K. Sajnok and M. Matuszewski",
    "Near-equilibrium propagation training in nonlinear wave systems",
    "2026",
    (
        _RESPONSE,
        _GRADIENT,
        _CHECK,
        _XOR,
        _INJECTED,
        _XOR_NEAR,
        _XOR_V,
        _XOR7,
        _TRAIN,
        _MNIST,
        _CONJUGATE,
        _SMALL,
        _NONLINEARITY,
        _DIGITS,
        _COST,
    ),
)
