"""What a run's gates come to on a given day, its waivers counted.

Two things are kept apart. A *verdict* is what was measured: it is part of `results.json`, which must not
differ between two runs of the same audit, and so cannot depend on the day. Whether a *waiver* counts does
depend on the day. It is therefore attached to its verdict when the run is judged (matching needs no
calendar) and looked up here when somebody asks whether the run may pass: `raiaudit gate`, the exit code of
`raiaudit run`, a test. A run sealed on Monday may so pass on Monday and be refused on Friday, from the same
bytes, and nobody has to run anything again for an expiry to bite. Documents in the run directory are
written as of the run's own date, which they state.

A sealed run is never rewritten: a waiver that is added to the spec's file, or taken out, after the run has
finished is noted beside it by the next `raiaudit run`, outside the seal (`waivers.json`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from raiaudit.audit.files import storage_error, write_atomically
from raiaudit.audit.gates import overall
from raiaudit.audit.sealing import WAIVERS
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.gates import Status, Verdict
    from raiaudit.audit.results import Results, RunHeader

__all__ = ["Ruling", "WaivedRun", "attach", "day_of", "idle", "in_force", "renew_waivers", "rule", "today"]

_NOTE = TypeAdapter(tuple[Waiver, ...])


@dataclass(frozen=True, slots=True)
class Ruling:
    """`status` is that of the gates that count on that day.

    `waived` gates do not count; those in `expired` count again; those in `needless` pass without a waiver.
    """

    status: Status
    waived: tuple[Verdict, ...]
    expired: tuple[Verdict, ...]
    needless: tuple[Verdict, ...]


def today() -> date:
    """The day in UTC, so that a waiver ends at the same moment everywhere."""
    return datetime.now(UTC).date()


def day_of(header: RunHeader) -> date:
    """The day a run began (UTC): what its own documents are written as of."""
    return date.fromisoformat(header.started[:10])


def attach(results: Results, waivers: Sequence[Waiver], *, model: str) -> Results:
    """The same results with these waivers and no others; of several for a gate, that which lasts longest."""
    verdicts, used = [], set()
    for verdict in results.verdicts:
        chosen = None
        if verdict.gate is not None:
            gate = verdict.gate
            found = [
                i
                for i, waiver in enumerate(waivers)
                if waiver.model in (None, model) and waiver.covers(verdict.check, gate.metric, gate.where)
            ]
            used.update(found)
            chosen = max((waivers[i] for i in found), key=lambda waiver: waiver.expires, default=None)
        verdicts.append(verdict.model_copy(update={"waiver": chosen}))
    left = tuple(waiver for i, waiver in enumerate(waivers) if i not in used)
    return results.model_copy(update={"verdicts": tuple(verdicts), "idle_waivers": left})


def rule(results: Results, day: date) -> Ruling:
    """What counts on that day. If every gate is waived the run passes: somebody answers for all of them."""
    waived: list[Verdict] = []
    expired: list[Verdict] = []
    needless: list[Verdict] = []
    counting: list[Verdict] = []
    for verdict in results.verdicts:
        if verdict.waived(day):
            waived.append(verdict)
            continue
        counting.append(verdict)
        if verdict.waiver is not None:
            (needless if verdict.status == "pass" else expired).append(verdict)
    status: Status = "pass" if waived and not counting else overall(counting)
    return Ruling(status, tuple(waived), tuple(expired), tuple(needless))


def idle(results: Sequence[Results]) -> list[Waiver]:
    """Waivers that match no gate of any of these runs, in the order of their file."""
    if not results:
        return []
    first, *others = results
    return [w for w in first.idle_waivers if all(w in other.idle_waivers for other in others)]


def in_force(run: Run) -> Run:
    """The run under the waivers that the spec's file has had since; itself if nothing has changed.

    Raises `StorageError` if the note of them is damaged.
    """
    note = run.folder / WAIVERS
    if not note.is_file():
        return run
    try:
        return WaivedRun(run.folder, _NOTE.validate_json(note.read_bytes()))
    except ValidationError:
        remedy = "run the same spec again: it is written anew"
        raise StorageError("is damaged", where=str(note), remedy=remedy) from None


def renew_waivers(run: Run, waivers: tuple[Waiver, ...]) -> bool:
    """Note beside a finished run which waivers its spec has now; whether that changed anything."""
    note, sealed = run.folder / WAIVERS, run.results
    text = _NOTE.dump_json(waivers, indent=1)
    if attach(sealed, waivers, model=run.header.model) == sealed:
        if not note.is_file():  # a read-only home is asked for nothing
            return False
        try:
            note.unlink()
        except OSError as error:
            raise storage_error(error, note) from error
        return True
    if note.is_file() and note.read_bytes() == text:
        return False
    write_atomically(note, text)
    return True


@dataclass(frozen=True)
class WaivedRun(Run):
    """A finished run under other waivers than those it was sealed with; its files stay as they are."""

    waivers: tuple[Waiver, ...] = ()

    @property
    def results(self) -> Results:
        """`results.json` with these waivers."""
        return attach(Run(self.folder).results, self.waivers, model=self.header.model)
