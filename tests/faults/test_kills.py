"""A few of the kills that `python -m tests.bench.kills` does a hundred of."""

from __future__ import annotations

import os
from pathlib import Path

from tests import servers
from tests.bench.kills import run_kills


def test_J01_J04_kill_9_at_random_moments_leaves_one_valid_award_each_and_no_job(
    tmp_path: Path, database_url: str
) -> None:
    seed = int(os.environ.get("KILLS_SEED", "11"))
    with servers.redis() as queue:
        found = run_kills(tmp_path, database_url, queue, kills=4, students=10, seed=seed)
    assert found.wrong == {}, (seed, found)
    assert found.awards == found.earned == 10 * found.classes
    assert sum(found.kills.values()) == 4
