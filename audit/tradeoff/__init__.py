"""The trade-off study: one task trained plainly, adversarially, privately and both, audited alike."""
