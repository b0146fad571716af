"""The engine that the image and gradient attacks on tables run on.

rules     what an attack tells the engine: where to start, what to ascend, how to step
rows      the active set, a structure of arrays
loop      advances it: chunks, tries, budgets, early leave
tally     what is known of each example, and at what cost
network   the classifier, exactly or in a quicker form
patches   what a quicker form changes for the length of a call
layers    pooling computed quicker
balls     norm balls
region    a ball cut by the box of valid values
"""

from raiaudit.attacks.evasion.engine.loop import run

__all__ = ["run"]
