"""One process of an ensemble: reads the job, then does what the lines on its standard input say.

Trains packs number, number + count, … of the members; see `processes.py`. When the line to the parent is
closed it ends at once, whatever it does: nobody would collect the result.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.errors import RaiauditError
from raiaudit.models.training.ensemble.members_on_disk import packs_of, train_pack
from raiaudit.models.training.ensemble.processes import MARK, read_job
from raiaudit.models.training.ensemble.timing import Trial

if TYPE_CHECKING:
    from raiaudit.models.training.ensemble.member import Job


def main() -> None:
    """Arguments: the job's folder, the members' folder, number of this process, number of processes."""
    room, folder, number, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    job = read_job(room)
    _say(ready=0)
    trial = None
    try:
        while True:
            verb, size, *how = orders.get().split()
            if verb == "time":
                trial = trial or Trial(job)
                _say(seconds=trial.serial() if size == "1" else trial.packed(int(size)))
            else:
                _train(job, int(size), folder, number, count, brief="brief" in how)
                _say(finished=0)
    except RaiauditError as error:
        _say(failed=error.problem, where=error.where, remedy=error.remedy)


def _train(job: Job, size: int, folder: Path, number: int, count: int, *, brief: bool) -> None:
    for pack in packs_of(len(job.members), size)[number::count]:
        train_pack(job, [job.members[place] for place in pack], folder=folder, brief=brief)
        for place in pack:
            _say(trained=place)


def _listen(orders: queue.Queue[str]) -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(1)


def _say(**message: Any) -> None:
    sys.stdout.write(MARK + json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
