"""The page's pure functions, run by Node: their answers are worked out by hand, or given by a standard."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules where Node takes them for what they are."""
    if shutil.which("node") is None:
        pytest.skip("runs the page's functions: no node here")
    folder = tmp_path_factory.mktemp("modules")
    source = Path(__file__).parents[3] / "tailor" / "daemon" / "web" / "page"
    for file in source.glob("*.js"):
        shutil.copy(file, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def run(modules: Path, script: str) -> Any:
    """What ``script``, the body of an async function, returns; in Berlin, where a day may have 23 hours."""
    (modules / "run.mjs").write_text(f"const told = await (async () => {{ {script} }})();\nconsole.log(JSON.stringify(told));\n")
    path = shutil.which("node")
    assert path
    done = subprocess.run(
        [path, "run.mjs"], cwd=modules, env={"TZ": "Europe/Berlin"}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_module_can_be_loaded(modules: Path) -> None:
    """But for the first, which begins at once and needs a page: that is only parsed."""
    names = sorted(file.name for file in modules.glob("*.js") if file.name != "main.js")
    assert run(modules, f"return (await Promise.all({json.dumps(names)}.map((name) => import('./' + name)))).length;") == len(names)
    path = shutil.which("node")
    assert path
    subprocess.run([path, "--check", "main.js"], cwd=modules, check=True, timeout=30)


# (function of a module, its arguments, what it gives)
CASES: list[tuple[str, str, list[Any], Any]] = [
    ("scales", "ticks", [0, 1, 5], [0, 0.5, 1]),
    ("scales", "ticks", [0, 0.92, 5], [0, 0.5, 1]),
    ("scales", "ticks", [0.31, 0.36, 5], [0.3, 0.32, 0.34, 0.36]),
    ("scales", "ticks", [0, 10, 6], [0, 2, 4, 6, 8, 10]),
    ("scales", "ticks", [-3, 42, 5], [-20, 0, 20, 40, 60]),
    ("scales", "ticks", [0, 3e-9, 4], [0, 1e-9, 2e-9, 3e-9]),
    ("scales", "ticks", [2, 2, 3], [1, 2, 3]),
    ("scales", "ticks", [0, 0, 3], [-0.5, 0, 0.5]),
    ("scales", "pack", [[{"from": 0, "to": 5}, {"from": 1, "to": 2}, {"from": 5, "to": 6}, {"from": 2, "to": 9}]], [0, 1, 0, 1]),
    ("scales", "pack", [[{"from": 4, "to": 5}, {"from": 0, "to": 3}], 2], [1, 0]),
    ("scales", "pack", [[]], []),
    ("scales", "ratioTicks", [0.03, 0.9], [0.02, 0.05, 0.1, 0.2, 0.5, 1]),
    ("scales", "ratioTicks", [67, 1866], [50, 100, 200, 500, 1000, 2000]),
    ("scales", "ratioTicks", [3, 20000], [1, 10, 100, 1000, 10000, 100000]),
    (
        "scales", "gaps", [[{"from": 2, "to": 4}, {"from": 3, "to": 5}, {"from": 8, "to": 20}], 0, 10],
        [{"from": 0, "to": 2}, {"from": 5, "to": 8}],
    ),
    ("scales", "gaps", [[], 0, 10], [{"from": 0, "to": 10}]),
    ("scales", "gaps", [[{"from": -5, "to": 15}], 0, 10], []),
    ("words", "count", [10000], "10,000"),
    ("words", "number", [0.03125], "0.03125"),
    ("words", "number", [12.3456789], "12.35"),
    ("words", "number", [1.23e-7], "1.23e-7"),
    ("words", "number", [0], "0"),
    ("words", "number", [None], "not a number"),
    ("words", "size", [940], "940 B"),
    ("words", "size", [12345678], "12.3 MB"),
    ("words", "size", [999999], "1.0 MB"),
    ("words", "duration", [0.44], "0.4 s"),
    ("words", "duration", [200], "3 min 20 s"),
    ("words", "duration", [7500], "2 h 5 min"),
    ("words", "duration", [86400 + 3600], "1 day 1 h"),
    ("words", "duration", [3600], "1 h"),
    ("words", "duration", [-1], "0.0 s"),
    ("words", "moment", ["2026-07-01T22:30:05Z"], "2026-07-02 00:30:05"),
    ("words", "moment", [None], ""),
    # tailor/daemon/updates/progress.py keeps every loss up to the epoch of index 999, every second one to 1999, every fourth to 3999
    *(("words", "strideOf", [{"epoch": epoch}], stride) for epoch, stride in ((None, 1), (999, 1), (1000, 2), (1999, 2), (2000, 4))),
    *(("words", "strideOf", [{"epoch": epoch}], stride) for epoch, stride in ((3999, 4), (4000, 8))),
    ("words", "epochsOf", [{"epoch": None}], 0),
    ("words", "epochsOf", [{"epoch": 2}], 3),
    ("words", "progressText", [{"state": "running"}, 3, 10], "3 of 10 epochs learned"),
    ("words", "progressText", [{"state": "completed"}, 1, 0], "1 epoch learned"),
    ("words", "progressText", [{"state": "committing"}, 1, 1], "1 of 1 epoch learned; the new version is being kept"),
    ("words", "reasonsOf", [{"text": "update 7: on battery", "reasons": [{"kind": "power", "text": "on battery"}]}], ["on battery"]),
    ("words", "reasonsOf", [{"text": "all is well", "reasons": []}], ["all is well"]),
    (
        "words", "forecastText", [{"begin": [0, 0, 0], "end": [120, 60, 240], "unknown": []}],
        "Forecast: ends in about 2 min (1 min to 4 min)",
    ),
    (
        "words", "forecastText", [{"begin": [30, 20, 40], "end": None, "unknown": ["how long it learns"]}],
        "Forecast: begins in about 30 s (20 s to 40 s); not known: how long it learns",
    ),
    ("words", "forecastText", [{"begin": None, "end": None, "unknown": ["x"]}], "Forecast: not known yet"),
    ("session", "readFragment", ["#token=a%2Bb&view=user&user=x%40y"], {"token": "a+b", "view": "user", "user": "x@y"}),
    ("session", "readFragment", [""], {}),
    ("session", "fragment", ["user", {"model": "m", "user": "a+b@c&d", "after": ""}], "#view=user&model=m&user=a%2Bb%40c%26d"),
    ("requests", "path", ["models", "a+b", "users", "x/../y"], "/v1/models/a%2Bb/users/x%2F..%2Fy"),
    ("requests", "query", [{"state": ["running", "paused"], "after": "", "most": 5}], "?state=running&state=paused&most=5"),
    ("requests", "query", [{}], ""),
    ("stream", "longer", [1000], 2000),
    ("stream", "longer", [50000], 60000),
    ("view_models", "nameBefore", [""], ""),
    ("view_models", "nameBefore", ["0"], ""),
    ("view_models", "nameBefore", ["b"], "a" + 59 * "z"),
    ("view_models", "nameBefore", ["user-1"], "user-0" + 54 * "z"),
    ("view_models", "nameBefore", ["a+"], "a"),
    ("view_models", "nameBefore", ["Aa"], "A_" + 58 * "z"),
    ("verdicts", "scoreText", [None], "no guard"),
    (
        "verdicts", "scoreText",
        [{"accepted": False, "metric": "loss", "sets": {"reference": {"count": 7, "before": {"loss": 0.5}, "after": {"loss": None}}}}],
        "refused: loss 0.5 before, not a number after (reference, 7 examples)",
    ),
]  # fmt: skip


def test_pure_functions(modules: Path) -> None:
    lines = [f"await (async () => (await import('./{module}.js')).{name}(...{json.dumps(given)}))()" for module, name, given, _ in CASES]
    found = run(modules, f"return [{', '.join(lines)}];")
    wrong = [(module, name, given, got, wanted) for (module, name, given, wanted), got in zip(CASES, found, strict=True) if got != wanted]
    assert wrong == []


def test_a_prefix_begins_right_behind_the_name_before_it(modules: Path) -> None:
    """A law: in the order of names, the names with a prefix are all behind it, and none without the prefix is between."""
    names = sorted({a + b + c for a in "09AZaz" for b in ["", *"+-.09@AZ_az"] for c in ["", *"+z"]})
    prefixes = [*"09AZaz", "a+", "a-", "Z_", "z.", "0@", "aa", "a0", "az", "zz"]
    befores = run(modules, f"const {{ nameBefore }} = await import('./view_models.js'); return {json.dumps(prefixes)}.map(nameBefore);")
    for prefix, before in zip(prefixes, befores, strict=True):
        behind = [name for name in names if name > before]
        with_prefix = [name for name in names if name.startswith(prefix)]
        assert behind[: len(with_prefix)] == with_prefix, prefix
        assert len(before) <= 60


def test_equal_ratios_are_equally_far_apart(modules: Path) -> None:
    script = "const place = (await import('./scales.js')).logarithmic(1, 100, 200, 0); return [1, 10, 100].map(place);"
    assert run(modules, script) == [200, 100, 0]


def test_moments_on_an_axis_are_local_and_whole(modules: Path) -> None:
    day = run(modules, """
        const { timeTicks } = await import("./scales.js");
        const at = (text) => new Date(text).getTime();
        const words = (date) => `${date.getDate()} ${date.getHours()}:${date.getMinutes()}`;
        const told = (from, to, most) => timeTicks(at(from), at(to), most).map((one) => words(new Date(one)));
        return [
            told("2026-07-01T00:00", "2026-07-02T00:00", 6),
            told("2026-07-01T10:00:30", "2026-07-01T10:20", 4),
            told("2026-10-24T00:00", "2026-10-28T00:00", 5),
        ];
    """)  # fmt: skip
    assert day[0] == ["1 0:0", "1 6:0", "1 12:0", "1 18:0", "2 0:0"]
    assert day[1] == ["1 10:5", "1 10:10", "1 10:15", "1 10:20"]
    assert day[2] == ["24 0:0", "25 0:0", "26 0:0", "27 0:0", "28 0:0"]  # the 25th has 25 hours


# streams and what the HTML standard says of them (its own examples in 9.2.6, and its grammar)
STREAMS: list[tuple[str, list[dict[str, str]]]] = [
    ("data: YHOO\ndata: +2\ndata: 10\n\n", [{"id": "", "kind": "message", "data": "YHOO\n+2\n10"}]),
    (
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [{"id": "1", "kind": "message", "data": "first event"}, {"id": "", "kind": "message", "data": "second event"}],
    ),
    ("data\n\ndata\ndata\n\ndata:", [{"id": "", "kind": "message", "data": ""}, {"id": "", "kind": "message", "data": "\n"}]),
    ("data:test\n\ndata: test\n\n", 2 * [{"id": "", "kind": "message", "data": "test"}]),
    ("\ufeffevent: add\r\ndata: a\r\n\r\ndata: b\r\rdata: c\n\n",
     [{"id": "", "kind": "add", "data": "a"}, {"id": "", "kind": "message", "data": "b"}, {"id": "", "kind": "message", "data": "c"}]),
    ("id: 7\nevent: x\n\ndata: {\"a\": 1}\n\n", [{"id": "7", "kind": "message", "data": '{"a": 1}'}]),
    ("id: 1\0\ndata: a\nother: b\nretry: x\n\n", [{"id": "", "kind": "message", "data": "a"}]),
]  # fmt: skip


@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_streams_of_events_in_pieces(modules: Path, piece: int) -> None:
    found = run(modules, f"""
        const {{ EventParser }} = await import("./stream.js");
        return {json.dumps([text for text, _ in STREAMS])}.map((text) => {{
            const parser = new EventParser();
            const found = [];
            for (let at = 0; at < text.length; at += {piece}) found.push(...parser.push(text.slice(at, at + {piece})));
            return found;
        }});
    """)  # fmt: skip
    assert found == [events for _, events in STREAMS]


def test_one_look_at_a_time_and_none_is_lost(modules: Path) -> None:
    """Ten calls at once are one run; calls during a run are one more, after it; after the end there is none."""
    told = run(modules, """
        const { throttled } = await import("./refreshing.js");
        const ends = [];
        let begins = () => {};
        const begun = () => new Promise((resolve) => { begins = resolve; });
        const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
        const call = throttled(() => new Promise((resolve) => { ends.push(resolve); begins(); }), 1);
        let run = begun();
        for (let time = 0; time < 10; time += 1) call();
        await run;
        call(); call();
        await pause();
        const during = ends.length;
        run = begun();
        ends[0]();
        await run;
        call.stop(); call();
        ends[1]();
        await pause();
        return [during, ends.length];
    """)  # fmt: skip
    assert told == [1, 2]


def test_why_nothing_ran(modules: Path) -> None:
    told = run(modules, """
        const { idle, spanOf, within } = await import("./spans.js");
        const [begin, now] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1, 1)];
        const time = (minute) => minute && new Date(begin + minute * 60000).toISOString();
        const update = (identifier, state, made, begun, ended) => ({
            identifier, state, made_at: time(made), begun_at: time(begun), ended_at: time(ended),
        });
        const updates = [
            update("a", "completed", 1, 10, 20), update("b", "completed", 25, 30, 45), update("c", "waiting", 58, null, null),
        ];
        const events = [
            [5, "trouble", "a", "the disk is full"], [10, "update_begun", "a", ""], [12, "update_paused", "a", "others go first"],
            [18, "update_resumed", "a", ""], [20, "update_ended", "a", ""], [30, "update_begun", "b", ""], [33, "file_read", null, "x"],
            [40, "daemon_started", null, ""], [41, "update_resumed", "b", ""],
        ].map(([minute, kind, update, text], sequence) => ({ sequence, time: time(minute), kind, update, text }));
        const spans = within(updates.map((one) => spanOf(one, events, now)), begin, now);
        const minute = (at) => (at - begin) / 60000;
        const found = idle(spans, events, begin, now, 60000, begin).map((gap) => [minute(gap.from), minute(gap.to), gap.text]);
        return [spans.map((span) => span.runs.map((run) => [minute(run.from), minute(run.to)])), found];
    """)  # fmt: skip
    # b was killed behind its last sign of life, at 33; the clock is Berlin's
    assert told[0] == [[[10, 12], [18, 20]], [[30, 33], [41, 45]], []]
    assert told[1] == [
        [45, 60, "no update waited until 2026-01-01 01:58:00; 1 update waited; no event says why"],
        [33, 41, "1 update waited; the daemon was not running until 01:40:00"],
        [20, 30, "no update waited until 2026-01-01 01:25:00; 1 update waited; no event says why"],
        [12, 18, "1 update waited; others go first"],
        [0, 10, "1 update waited; the disk is full"],  # that it came a tenth of the time later is not told
    ]
