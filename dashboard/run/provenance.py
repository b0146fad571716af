"""Where a result comes from: the model's record, digests, versions, the spec as run, the seal."""

from __future__ import annotations

import streamlit as st

from raiaudit.audit.results import Results
from raiaudit.audit.sealing import breaches, seal_of
from raiaudit.dashboard.reading import RunEntry
from raiaudit.dashboard.wording import duration, instant, plain
from raiaudit.errors import StorageError
from raiaudit.models.version import LoadRecord

__all__ = ["show"]


def show(entry: RunEntry, results: Results) -> None:
    """Draw the section of a finished run."""
    model, run = st.columns(2, gap="large")
    with model:
        _facts("Model", _model(results))
    with run:
        _facts("Run", _run(entry, results))
    _seal(entry)
    recipe = results.subject.record.recipe
    if recipe is not None:
        with st.expander("Training recipe"):
            st.code(recipe.model_dump_json(indent=2, exclude_none=True), language="json")
    with st.expander("Spec as run, every default written out"):
        try:
            st.code(entry.run.spec_lock, language="yaml")
        except OSError:
            st.markdown("spec\\.lock\\.yaml is missing from this run\\.")
    with st.expander("Checks and their settings"):
        settings = [check.model_dump(mode="json", exclude_none=True) for check in results.checks]
        st.json(settings, expanded=2)


def _facts(title: str, facts: dict[str, str]) -> None:
    rows = {name: text for name, text in facts.items() if text}
    with st.container(key=f"facts-{title.lower()}"):
        st.subheader(title, anchor=False)
        st.table(
            {"Fact": list(rows), "Value": list(rows.values())},
            border="horizontal",
            hide_index=True,
            hide_header=True,
            alt=f"{title}: where it comes from",
        )


def _model(results: Results) -> dict[str, str]:
    subject, record = results.subject, results.subject.record
    version = f"version {subject.version}" if subject.version else "not registered"
    if record.is_predictions:
        return {
            "Name": plain(subject.name),
            "What it is": plain("predictions from a file; no model was seen"),
            "Columns": plain(", ".join(f"{role}: {column}" for role, column in record.config.items())),
            "Loaded": _loaded(record.loaded),
            "Code": plain(record.code_version),
        }
    facts = {
        "Name": f"{plain(subject.name)} ({version})",
        "Architecture": plain(record.architecture),
        "Parameters": "unverifiable: known by its answers alone"
        if record.is_black_box
        else f"{record.parameters:,}",
        "Recipe": record.recipe.kind if record.recipe else "unknown: trained elsewhere",
        "Loaded": _loaded(record.loaded),
        "Trained on": plain(record.data_name or "unknown"),
        "Training seed": "" if record.seed is None else str(record.seed),
        "Training time": duration(record.seconds) if record.seconds is not None else "",
        "Fingerprint of its answers"
        if record.is_black_box
        else "Weights sha256": f"`{record.weights_digest}`",
        "Code": plain(record.code_version),
    }
    if record.privacy is not None:
        budget = record.privacy
        state = "certified" if budget.certified else f"not certified: {plain(budget.why)}"
        facts["Privacy"] = f"ε {budget.epsilon_pld:.3g} at δ {budget.delta:g} ({state})"
    return facts


def _loaded(loaded: LoadRecord | None) -> str:
    if loaded is None:
        return ""
    how = "with --unsafe-load" if loaded.unsafe else "without running code"
    return plain(" ".join([f"from {loaded.form}, {how}.", *loaded.limits]))


def _run(entry: RunEntry, results: Results) -> dict[str, str]:
    header = entry.header
    assert header is not None
    versions = ", ".join(f"{name} {version}" for name, version in sorted(header.versions.items()))
    return {
        "Id": f"`{entry.id}`",
        "Started": instant(header.started),
        "Finished": instant(header.finished) if header.finished else "",
        "Spec": plain(header.spec_path),
        "Command": plain(header.command),
        "Seed": str(results.seed),
        "Data sha256": f"`{results.data.digest}`",
        "Data source": plain(results.data.source),
        "Licence": plain(results.data.licence),
        "Machine": plain(header.machine),
        "Versions": plain(versions),
    }


def _seal(entry: RunEntry) -> None:
    if not st.button(
        "Verify the seal", icon=":material/verified_user:", help="Recompute every file's sha256"
    ):
        return
    try:
        broken = breaches(entry.run.folder)
    except (StorageError, OSError, ValueError) as error:
        st.warning(f"Cannot be verified. {plain(error)}", icon=":material/warning:")
        return
    if broken:
        listed = "\n".join(f"- {plain(breach)}" for breach in broken)
        st.error(f"This run is not as it was sealed:\n{listed}", icon=":material/gpp_bad:")
    else:
        seal = seal_of(entry.run.folder)
        st.success(f"Every file is as the run left it. Seal: `{seal}`", icon=":material/verified_user:")
