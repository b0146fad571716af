"""The mitigation study: one model trained plainly and with what is done about groups, audited alike."""
