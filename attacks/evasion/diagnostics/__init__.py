"""What an evaluation of robustness asks about itself: cheap measurements of a model and of attacks on it.

    answers        same question, same answer? probabilities instead of logits? state that changes?
    surroundings   does a tiny step change the answer not at all, or far too much?
    battery        one attack in many variants: which of them finds what the plain one did not
    ladder         an attack of any modality at several radii, and with twice the steps
    recheck        norm, box and label of what was found, computed anew
    substitute     a copy of the model, trained on its answers, whose adversarial inputs are transferred
    binarisation   a problem with a known solution within the ball: does the attack find it?

None decides anything: thresholds and verdicts are the audit's.
"""
