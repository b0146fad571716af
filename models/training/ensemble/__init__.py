"""Ensembles: many models of one recipe, each on its own rows of one training split.

| engine | how | for |
|---|---|---|
| serial | `train`, one member after the other | what the others are held against |
| packed | the weights of K members stacked, one `vmap` (`packed.py`) | models whose steps are overhead |
| processes | members dealt out to processes, packed or not (`processes.py`) | cores one model leaves idle |

Every member gets the initial weights, the batches and the augmentation that `train` would give it, from the
same keyed seeds: the engine changes its weights by float rounding, and through the masks of dropout, which
are other draws.
"""

from raiaudit.models.training.ensemble.ensemble import EnsembleProgress, TrainedEnsemble, train_ensemble
from raiaudit.models.training.ensemble.member import SERIAL, Engine, Member, Mode
from raiaudit.models.training.ensemble.packed import why_not_packed

__all__ = [
    "SERIAL",
    "Engine",
    "EnsembleProgress",
    "Member",
    "Mode",
    "TrainedEnsemble",
    "train_ensemble",
    "why_not_packed",
]
