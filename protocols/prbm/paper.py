"""The photonic restricted Boltzmann machine, arXiv 2508.20472: what is measured again, beside what was found before."""

from __future__ import annotations

from labctl.client import Compared, Paper, Reproduction

_WELL = (
    "Independent: shot noise alone at 80 % of the camera’s well. Here 72 % is filled, and 8-bit phase, an imperfect "
    "panel and read noise are there as well."
)
_COMMON = (
    " The first intensity is common to all fields of a measurement; its noise makes rms differ from one to the next."
)
_NO_NUMBER = "The paper shows pictures and prints no number; bounds are what the figure promises."

_FIELDS = Reproduction(
    "prbm.local-fields",
    "Eq. (2), coded flips",
    (
        Compared("r", 1.0, by="derived", within=0.01, label="correlation with the exact local fields"),
        Compared("slope", 1.0, by="derived", within=0.05, label="slope"),
        Compared(
            "rms", 0.037, by="independent", within=0.03, label="rms error, Hadamard flips, slit of 31 pixels", why=_WELL
        ),
    ),
    repeats=(10, 10),
    cost_s=(0.7, 0.7),
)
_SINGLE = Reproduction(
    "prbm.local-fields",
    "Eq. (2), the paper’s single flips",
    (
        Compared(
            "rms",
            0.41,
            by="independent",
            within=0.08,
            label="rms error, single flips, slit of 31 pixels",
            why=_WELL + _COMMON,
        ),
        Compared("sigma_predicted", label="shot noise that is predicted"),
    ),
    given={"flips": "single"},
    repeats=(10, 10),
    cost_s=(0.7, 0.7),
    name="prbm.local-fields: single flips",
)
_AVERAGED = Reproduction(
    "prbm.local-fields",
    "Eq. (2), single flips, 16 frames",
    (
        Compared(
            "rms",
            0.11,
            by="independent",
            within=0.03,
            label="rms error, single flips, 16 frames each",
            why=_WELL + _COMMON,
        ),
    ),
    given={"flips": "single", "averages": 16},
    repeats=(10, 5),
    cost_s=(1.5, 1.5),
    name="prbm.local-fields: 16 frames",
)
_PIXEL = Reproduction(
    "prbm.local-fields",
    "Eq. (2), single flips, one pixel",
    (
        Compared(
            "rms", 2.4, by="independent", within=0.5, label="rms error, single flips, one pixel", why=_WELL + _COMMON
        ),
    ),
    given={"flips": "single", "slit": 1},
    repeats=(10, 10),
    cost_s=(0.7, 0.7),
    name="prbm.local-fields: one pixel",
)
_NOISE = Reproduction(
    "prbm.noise",
    "error of local fields by setting",
    (Compared("ratio", 1.0, by="derived", within=0.15, label="measured over predicted rms error"),),
    quick={"repeats": 2, "vary": ("fill", "averages")},
    cost_s=(100, 20),
)
_READOUT = Reproduction(
    "prbm.readout",
    "camera and slit detector",
    (
        Compared("sigma_ratio_camera", 1.0, by="derived", within=0.08, label="camera: noise over shot noise"),
        Compared("sigma_ratio_photodetector", 1.0, by="derived", within=0.08, label="detector: the same"),
    ),
    quick={"repeats": 5, "reference_repeats": 40},
    cost_s=(20, 3),
)
_ISING = Reproduction(
    "prbm.ising",
    "Fig. 2c",
    (
        Compared(
            "T_c",
            2.2691853,
            by="theory",
            within=0.0,
            quick=0.1,
            label="temperature at which Binder cumulants of L = 8 and 16 (quick: 4 and 8) cross",
            why="Onsager’s. The number that the paper’s experiment gave is lost in the text at hand.",
        ),
        Compared("deviation", label="worst energy of 14 temperatures off the exact one", unit="standard errors"),
    ),
    given={"L": (8, 16), "samples": 400},
    quick={"L": (4, 8), "T": (2.0, 2.1, 2.2, 2.25, 2.3, 2.4, 2.5), "samples": 100},
    cost_s=(900, 40),
)
_SHORT = Reproduction(
    "prbm.ising",
    "Fig. 2c, as the paper does it",
    (
        Compared(
            "E[0]",
            -1.951,
            by="theory",
            label="energy a spin at T = 1.5",
            why="Not judged: 10 iterations from random starts freeze into domains, so that fluctuations are largest "
            "where it is coldest; a transition told by them is not Onsager’s.",
        ),
    ),
    given={"mode": "paper", "L": (10,)},
    quick={"L": (8,), "T": (1.5, 2.25, 3.0), "samples": 8},
    cost_s=(60, 4),
    name="prbm.ising: short runs",
)
_ANNEAL = Reproduction(
    "prbm.anneal",
    "annealing to the ground state",
    (Compared("success", label="share of annealings that find the ground state"),),
    quick={"L": 6, "chains": 8, "iterations": 40},
    cost_s=(60, 20),
    note=_NO_NUMBER,
)
_GENERATE = Reproduction(
    "prbm.generate",
    "Fig. 3",
    (
        Compared("recognised", label="images recognised as their class"),
        Compared("frechet_excess", label="Fréchet distance beyond exact sampling’s", unit="standard errors"),
    ),
    quick={"images": 8, "iterations": 8},
    cost_s=(250, 18),
    note=_NO_NUMBER,
)
_DIGITS = Reproduction(
    "prbm.digits",
    "Fig. 3, three digits",
    (
        Compared("recognised", label="digits recognised"),
        Compared("r", 1.0, by="derived", within=0.02, label="correlation of measured and exact fields"),
    ),
    quick={"images": 24},
    cost_s=(60, 30),
    note=_NO_NUMBER,
)
_RESTORE = Reproduction(
    "prbm.restore",
    "Fig. 4a, b: masked boots",
    (
        Compared("accuracy", label="damaged pixels restored rightly"),
        Compared(
            "difference_exact", 0.0, by="derived", within=0.02, quick=0.06, label="the same, less exact sampling’s"
        ),
    ),
    quick={"images": 6},
    cost_s=(200, 8),
    note=_NO_NUMBER,
)
_RESTORE_NOISE = Reproduction(
    "prbm.restore",
    "Fig. 4c, d: noisy zeros",
    (
        Compared("accuracy", label="flipped pixels restored rightly"),
        Compared(
            "difference_exact", 0.0, by="derived", within=0.02, quick=0.06, label="the same, less exact sampling’s"
        ),
    ),
    given={"classes": "0", "damage": "noise"},
    quick={"images": 6},
    cost_s=(200, 8),
    name="prbm.restore: noise",
    note=_NO_NUMBER + " The nearest training image is as good here, and better over all pixels.",
)
_MUSIC = Reproduction(
    "prbm.music",
    "Fig. 5",
    (Compared("log_likelihood_gain", label="gain of held-out ln P by training", unit="nats a time step"),),
    quick={"songs": 40, "epochs": 2, "pieces": 2, "steps": 6, "judged": 4, "iterations": 6},
    cost_s=(400, 23),
    note=_NO_NUMBER,
)
_TRAIN = Reproduction(
    "prbm.train",
    "Methods, training",
    (Compared("relative_difference", label="ln likelihood in situ, off that by arithmetic"),),
    given={"sampler": "photonic"},
    quick={"epochs": 2, "per_class": 20, "comparisons": 1, "evaluations": 2},
    cost_s=(300, 8),
    note="The paper trains by arithmetic; in situ is beyond it.",
)
_PLAN = Reproduction(
    "prbm.plan", "settings for a bench", (), quick={"repeats": 2}, cost_s=(3, 2), note="Beyond the paper."
)
_COST = Reproduction(
    "prbm.cost",
    "speed, Discussion",
    (
        Compared(
            "projected_operations_per_s",
            2e14,
            by="paper",
            label="operations per second, gigahertz modulators, 100,000 spins: light alone",
            why="Not judged: the paper’s number is a maximum, of light alone.",
        ),
        Compared(
            "projected_operations_per_s_drawn",
            label="the same, with the time to draw spins by electronics",
        ),
        Compared("table_operations_per_s", label="operations per second of the table as it is"),
    ),
    quick={"samples": 1, "cpu_sizes": (64, 512), "iterations": 5},
    cost_s=(15, 4),
)
_EFFECT = Reproduction(
    "calibration.effect",
    "Eq. (2) on a table with everything hidden",
    (
        Compared("r_before", label="correlation with exact fields before calibration"),
        Compared("r_after", 1.0, by="derived", within=0.002, quick=0.01, label="after"),
        Compared("slope_after", 1.0, by="derived", within=0.02, quick=0.05, label="slope after"),
    ),
    cost_s=(200, 180),
    note="The paper’s table was aligned by hand; here routines do it.",
)

PAPER = Paper(
    "prbm",
    "",
    "Photonic restricted Boltzmann machine for content generation tasks",
    "arXiv 2508.20472 (2025)",
    (
        _FIELDS,
        _SINGLE,
        _AVERAGED,
        _PIXEL,
        _NOISE,
        _READOUT,
        _EFFECT,
        _ISING,
        _SHORT,
        _ANNEAL,
        _GENERATE,
        _DIGITS,
        _RESTORE,
        _RESTORE_NOISE,
        _MUSIC,
        _TRAIN,
        _PLAN,
        _COST,
    ),
)
