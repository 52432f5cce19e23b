"""How a worker patches the standard library: what gevent does in it again and again is done once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATCH = """
import sys
from collections import Counter
from importlib import metadata
sys.path.insert(0, sys.argv[1])
from server.workers.gevent_worker import StreamWorker
opened = Counter()
sys.addaudithook(lambda event, args: event == "open" and opened.update([str(args[0])]))
entry_points = metadata.entry_points
worker = object.__new__(StreamWorker)
worker.sockets = []
worker.patch()
assert metadata.entry_points is entry_points
read = {file: times for file, times in opened.items() if file.endswith("entry_points.txt")}
import plugin
print(len(plugin.events), max(read.values()), any(file.startswith(sys.argv[1]) for file in read))
"""


def test_gevent_reads_once_which_plugins_there_are_and_calls_each_for_its_event(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("events = []\nnote = events.append\n")
    described = tmp_path / "plugin-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[gevent.plugins.monkey.did_patch_module]\nx = plugin:note\n")

    command = [sys.executable, "-W", "error", "-c", PATCH, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    events, times, has_plugin = done.stdout.split()
    assert int(events) > 5
    assert (times, has_plugin) == ("1", "True")
