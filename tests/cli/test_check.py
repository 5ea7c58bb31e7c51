import re
import shlex

from fastconv.cli.compare import first_failure
from fastconv.problem import Problem
from tests.cli.bugs import break_algorithm, wrong_where_strided
from tests.cli.conftest import one_line


def test_nothing_is_found(command):
    code, out, err = command("check", "--count", "20", "--seed", "1")
    assert code == 0, out
    assert "agree with the reference" in out
    assert "seed 1" in out
    assert "im2col_gemm" in out
    assert err == ""


def test_one_problem(command):
    code, out, _ = command("check", "--problem", "max_pool forward x=1x1x9 k=3 float64")
    assert code == 0
    assert "Problems: 1" in out
    assert "pooling 5" in out


def test_a_time_of_zero_leaves_the_edge_cases(command, monkeypatch):
    edges = [Problem.parse("columns forward x=1x1x4 k=2 float32")]
    monkeypatch.setattr("fastconv.cli.check.edge_problems", lambda: edges)
    assert "Problems: 1" in command("check", "--seconds", "0")[1]
    assert "Problems: 5" in command("check", "--seconds", "60", "--count", "4", "--seed", "1")[1]


def test_a_failure_is_shrunk_and_its_line_repeats_it(command, monkeypatch):
    with monkeypatch.context() as broken:
        break_algorithm(broken, "im2col_gemm", wrong_where_strided)
        line = "conv forward x=2x3x9x11 w=4x3x3x3 s=1x3 p=1 float32"
        code, out, _ = command("check", "--problem", line)
        assert code == 1
        smallest = re.search(r"^FAILED +(.*)$", out, re.MULTILINE)[1]
        assert smallest == "conv forward x=1x1x1 w=1x1x1 s=2 float32"
        assert re.search(r"^algorithm +im2col_gemm$", out, re.MULTILINE)
        assert re.search(r"^largest difference +0\.5 ", out, re.MULTILINE)
        assert re.search(rf"^first seen on +{re.escape(line)}$", out, re.MULTILINE)
        repeat = shlex.split(re.search(r"^repeat with +(.*)$", out, re.MULTILINE)[1])
        assert repeat[0] == "fastconv"
        assert command(*repeat[1:])[0] == 1
    assert first_failure(Problem.parse(smallest)) is None
    assert command(*repeat[1:])[0] == 0


def test_a_failure_among_random_problems(command, monkeypatch):
    monkeypatch.setattr("fastconv.cli.check.edge_problems", list)
    break_algorithm(monkeypatch, "im2col_gemm", wrong_where_strided)
    code, out, _ = command("check", "--count", "200", "--seed", "2")
    assert code == 1
    assert "s=2" in out


def test_a_line_that_is_no_problem(command):
    code, out, err = command("check", "--problem", "convolve something")
    assert (code, out) == (2, "")
    assert one_line(err)
