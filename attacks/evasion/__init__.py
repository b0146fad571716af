"""Evasion: inputs changed within a threat model until the classifier errs.

    name                 input     norms          needs    finds
    fgsm                 image     linf, l2       white    an error within eps   arXiv:1412.6572
    pgd                  image     linf, l2       white    an error within eps   arXiv:1706.06083
    mi_fgsm              image     linf, l2       white    an error within eps   arXiv:1710.06081
    apgd                 image     linf, l2, l1   white    an error within eps   arXiv:2003.01690
    autoattack           image     linf, l2, l1   white    an error within eps   arXiv:2003.01690
    fab                  image     linf, l2, l1   white    the nearest error     arXiv:1907.02044
    fmn                  image     linf,l2,l1,l0  white    the nearest error     arXiv:2102.12827
    ddn                  image     l2             white    the nearest error     arXiv:1811.09600
    deepfool             image     linf, l2       white    the nearest error     arXiv:1511.04599
    cw                   image     l2             white    the nearest error     arXiv:1608.04644
    hop_skip_jump        image     linf, l2       label    the nearest error     arXiv:1904.02144
    boundary             image     l2             label    the nearest error     arXiv:1712.04248
    brendel_bethge       image     linf,l2,l1,l0  white    the nearest error     arXiv:1907.01003
    ead                  image     l1             white    the nearest error     arXiv:1709.04114
    newton_fool          image     l2             white    the nearest error     doi:10.1145/3134600.3134635
    virtual_adversarial  image     l2             white    an error within eps   arXiv:1507.00677
    gen_attack           image     linf           score    an error within eps   arXiv:1805.11090
    salt_and_pepper      image     l2, l1, l0     label    the nearest error     noise
    blended_noise        image     linf, l2, l1   label    the nearest error     noise
    contrast_reduction   image     linf, l2, l1   label    the nearest error     towards grey
    inversion            image     linf, l2, l1   label    the nearest error     arXiv:1607.02533
    spatial              image     spatial        label    an error within eps   arXiv:1712.02779
    square               image     linf, l2, l1   score    an error within eps   arXiv:1912.00049
    characters           text      l0             score    an error within eps   arXiv:1711.02173
    hotflip              text      l0             white    an error within eps   arXiv:1712.06751
    substitution         text      l0             white    an error within eps   arXiv:1907.11932
    table                tabular   linf, l1       white    an error within eps   Frank–Wolfe, Jaggi 2013
    projected_table      tabular   linf, l1       white    an error within eps   arXiv:1706.06083
    greedy_table         tabular   linf, l1, l0   score    an error within eps   beam search

`EVASION[name](**options)` is an `EvasionAttack`; every option has a default. Its `name`, `modality`,
`norms` and `knowledge` say the same as this table.
"""

from __future__ import annotations

from collections.abc import Callable

from raiaudit.attacks.evasion.base import AttackResult, EvasionAttack
from raiaudit.attacks.evasion.foolbox.attacks import (
    EAD,
    BlendedNoise,
    Boundary,
    BrendelBethge,
    ContrastReduction,
    GenAttack,
    Inversion,
    NewtonFool,
    SaltAndPepper,
    VirtualAdversarial,
)
from raiaudit.attacks.evasion.images.apgd import APGD
from raiaudit.attacks.evasion.images.autoattack import AutoAttack
from raiaudit.attacks.evasion.images.carlini_wagner import CarliniWagner
from raiaudit.attacks.evasion.images.ddn import DDN
from raiaudit.attacks.evasion.images.deepfool import DeepFool
from raiaudit.attacks.evasion.images.fab import FAB
from raiaudit.attacks.evasion.images.fgsm import FGSM
from raiaudit.attacks.evasion.images.fmn import FMN
from raiaudit.attacks.evasion.images.hop_skip_jump import HopSkipJump
from raiaudit.attacks.evasion.images.pgd import MIFGSM, PGD
from raiaudit.attacks.evasion.images.spatial import Spatial
from raiaudit.attacks.evasion.images.square import Square
from raiaudit.attacks.evasion.tables.frank_wolfe import Table
from raiaudit.attacks.evasion.tables.greedy import GreedyTable
from raiaudit.attacks.evasion.tables.projected import ProjectedTable
from raiaudit.attacks.evasion.texts.characters import Characters
from raiaudit.attacks.evasion.texts.hotflip import HotFlip
from raiaudit.attacks.evasion.texts.substitution import Substitution

__all__ = ["EVASION", "AttackResult", "EvasionAttack"]

EVASION: dict[str, Callable[..., EvasionAttack]] = {
    "fgsm": FGSM,
    "pgd": PGD,
    "mi_fgsm": MIFGSM,
    "apgd": APGD,
    "autoattack": AutoAttack,
    "fab": FAB,
    "fmn": FMN,
    "ddn": DDN,
    "deepfool": DeepFool,
    "cw": CarliniWagner,
    "hop_skip_jump": HopSkipJump,
    "boundary": Boundary,
    "brendel_bethge": BrendelBethge,
    "ead": EAD,
    "newton_fool": NewtonFool,
    "virtual_adversarial": VirtualAdversarial,
    "gen_attack": GenAttack,
    "salt_and_pepper": SaltAndPepper,
    "blended_noise": BlendedNoise,
    "contrast_reduction": ContrastReduction,
    "inversion": Inversion,
    "spatial": Spatial,
    "square": Square,
    "characters": Characters,
    "hotflip": HotFlip,
    "substitution": Substitution,
    "table": Table,
    "projected_table": ProjectedTable,
    "greedy_table": GreedyTable,
}
