"""What a person is told of a long work: a speed only where one was measured."""

from __future__ import annotations

import pytest

from burnqed.cli.work_bar import duration, told
from burnqed.data.pace import Progress


def test_nothing_is_guessed_before_there_is_a_speed():
    assert told(Progress(done=500, total=1000, before=495, seconds=60)) == "no speed measured yet"
    assert told(Progress(done=600, total=1000, before=500, seconds=50)) == "2.0/s, 3 min left"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89.4, "89 s"), (91, "2 min"), (5000, "83 min"), (7200, "2.0 h")]
)
def test_times_as_people_say_them(seconds, said):
    assert duration(seconds) == said
