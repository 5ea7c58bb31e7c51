import io
import sys
import types

import pytest

from fastconv.nn.progress import bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, wanted=True):
    """What is drawn on a stream in the place of stderr."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with bar(wanted, 3) as tell:
            tell(1, "epoch 1, loss 0.5")
            tell(3, "epoch 1, loss 0.4")
    return stream.getvalue()


def test_rich_draws_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    drawn = shown(monkeypatch, Terminal())
    assert "loss 0.4" in drawn
    assert "3/3" in drawn


def test_tqdm_draws_where_rich_is_not_installed(monkeypatch):
    told = []

    class Bar:
        n = 0

        def __init__(self, total, leave):
            told.append(("total", total, leave))

        def __enter__(self):
            return self

        def __exit__(self, *failure):
            told.append("closed")

        def set_description(self, words, refresh):
            told.append(words)

        def update(self, more):
            self.n += more
            told.append(self.n)

    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    shown(monkeypatch, Terminal())
    words = ["epoch 1, loss 0.5", 1, "epoch 1, loss 0.4", 3]
    assert told == [("total", 3, False), *words, "closed"]


def test_nothing_is_drawn_without_a_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown(monkeypatch, Terminal()) == ""


def test_nothing_is_drawn_where_it_is_not_wanted_or_seen(monkeypatch):
    assert shown(monkeypatch, Terminal(), wanted=False) == ""
    assert shown(monkeypatch, io.StringIO()) == ""
