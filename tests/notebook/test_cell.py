"""What a cell needs and makes, as a table: source, names that must come from outside, names it makes.

A name with ``?`` is sent when it is there and is no error when it is not. Builtins are left out of the table.
"""

from __future__ import annotations

import builtins

import pytest

from jupyter_dist.errors import CaptureError
from jupyter_dist.notebook.cell import analyse_cell, is_silenced

CELLS = [
    # straight lines
    ("", "", ""),
    ("# nothing", "", ""),
    ("x", "x", ""),
    ("x = 1", "", "x"),
    ("y = x", "x", "y"),
    ("x = 1\ny = x", "", "x y"),
    ("y = x\nx = 1", "x", "x y"),
    ("x = x + 1", "x", "x"),
    ("x += 1", "x", "x"),
    ("x = 0\nx += y", "y", "x"),
    ("a = b = c", "c", "a b"),
    ("a, (b, *c) = d", "d", "a b c"),
    ("[a, b] = c", "c", "a b"),
    ("x: int = 1", "", "x"),
    ("x: T", "T", ""),
    ("x: T = y", "T y", "x"),
    ("(y := f(x))", "f x", "y"),
    ("x.a = 1", "x", ""),
    ("x[i] = y", "i x y", ""),
    ("x.a[i].b += y", "i x y", ""),
    ("print(x)", "x", ""),
    ("f'{x} {y:{w}}'", "w x y", ""),
    ("f(*a, **b)", "a b f", ""),
    ("a if b else c", "a b c", ""),
    ("a < b < c", "a b c", ""),
    ("{a: b, **c}", "a b c", ""),
    ("x[a:b]", "a b x", ""),
    ("len = 3\nlen", "", "len"),
    ("_x = 1\nx = _x", "", "x"),
    ("_ = f()", "f", ""),
    ("x = 1; y = 2", "", "x y"),
    ("assert x, y", "x y", ""),
    # deleting
    ("del x", "x", ""),
    ("x = 1\ndel x", "", ""),
    ("x = 1\ndel x\nx = 2", "", "x"),
    ("x = 1\ndel x\nprint(x)", "", ""),
    ("del x[i]", "i x", ""),
    ("del x.a", "x", ""),
    # imports
    ("import numpy", "", ""),
    ("import numpy as np\nx = np.ones(n)", "n", "x"),
    ("import os.path\nos.path.join(a)", "a", ""),
    ("from math import pi as p\nx = p", "", "x"),
    ("from math import *\nx = sqrt(2)", "sqrt", "x"),
    ("np.ones(3)\nimport numpy as np", "np", ""),
    # functions
    ("def f(): return x", "x", "f"),
    ("def f(a, b=d, *c, e, **g): return a + b + e", "d", "f"),
    ("def f(a: T) -> R: pass", "R T", "f"),
    ("def f(n): return f(n - 1)", "", "f"),
    ("def f(): return g()\ndef g(): return f()", "", "f g"),
    ("def f(): return x\nx = 1\nf()", "", "f x"),
    ("def f(): return x\ny = f()\nx = 1", "x", "f x y"),
    ("def f():\n    x = 1\n    return x", "", "f"),
    ("def f():\n    def g(): return x + y\n    y = 1\n    return g", "x", "f"),
    ("def f():\n    global n\n    n = 1\nf()\nn", "n?", "f n"),
    ("def f():\n    global n\n    n += 1\nf()", "n?", "f n"),
    ("@d\ndef f(): return x", "d x", "f"),
    ("f = lambda a: a + b", "b", "f"),
    ("f = lambda a=b: a", "b", "f"),
    ("sorted(x, key=lambda p: p[k])", "k x", ""),
    ("async def f(): return await g(x)", "g x", "f"),
    ("def f():\n    import os\n    return os.getcwd() + d", "d", "f"),
    ("def f():\n    return [x for x in y]", "y", "f"),
    ("def f():\n    class A:\n        q = 1\n        r = q + s\n    return A", "s", "f"),
    # classes
    ("class A: pass", "", "A"),
    ("class A(B, metaclass=M): pass", "B M", "A"),
    ("class A:\n    x = 1\n    y = x + z", "z", "A"),
    ("class A:\n    def m(self): return super().m() + q", "q", "A"),
    ("class A:\n    q = 1\n    def m(self): return q", "q", "A"),
    ("class A:\n    def m(self): return A()", "", "A"),
    ("@d\nclass A: pass", "d", "A"),
    # comprehensions
    ("[i for i in r]", "r", ""),
    ("[i for i in r]\ni", "i r", ""),
    ("{i: j for i, j in r if i > k}", "k r", ""),
    ("[i + j for i in r for j in i]", "r", ""),
    ("[x for x in x]", "x", ""),
    ("sum(i * w for i in r)", "r w", ""),
    ("[y := i for i in r]\ny", "r", "y"),
    ("[lambda: i + a for i in r]", "a r", ""),
    ("[[j for j in i] for i in m]", "m", ""),
    # branches
    ("if c:\n    x = 1\nx", "c x?", "x"),
    ("if c:\n    x = 1\nelse:\n    x = 2\nx", "c", "x"),
    ("if c:\n    x = 1\nelse:\n    raise E\nx", "E c", "x"),
    ("if c:\n    x\nelse:\n    x = 2", "c x", "x"),
    ("while c:\n    x = 1\nx", "c x?", "x"),
    ("for i in r:\n    t = i\nt", "r t?", "t"),
    ("for i in r:\n    pass\nelse:\n    z = 1", "r", "z"),
    ("for x[0] in r: pass", "r x", ""),
    ("for i in r:\n    if i: break\n    y = 1", "r", "y"),
    ("with open(p) as f:\n    d = f.read()", "p", "d"),
    ("with a() as x, b(x) as y:\n    z = y", "a b", "z"),
    ("try:\n    import q\nexcept ImportError:\n    q = None\nq", "", "q"),
    ("try:\n    x = f()\nexcept E as e:\n    print(e)", "E f", "x"),
    ("try:\n    x = f()\nfinally:\n    y = 1\nx", "f", "x y"),
    ("try:\n    x = f()\nexcept E:\n    raise\nx", "E f", "x"),
    ("match p:\n    case [a, *b]: x = a\n    case {'k': v, **w}: x = v\n    case _: x = 0\nx", "p", "a b v w x"),
    ("match p:\n    case C(q): x = q\nx", "C p x?", "q x"),
    ("match p:\n    case 1 if g: pass", "g p", ""),
]


def needs(analysis):
    return " ".join(
        read.name + ("" if read.certain else "?")
        for read in sorted(analysis.inputs, key=lambda read: read.name)
        if not hasattr(builtins, read.name)
    )


@pytest.mark.parametrize(("source", "inputs", "outputs"), CELLS, ids=[source or "empty" for source, _, _ in CELLS])
def test_a_cell_needs_and_makes_names(source, inputs, outputs):
    analysis = analyse_cell(source)
    assert needs(analysis) == inputs
    assert " ".join(analysis.outputs) == outputs


def test_the_table_has_the_promised_size():
    assert len(CELLS) >= 80


@pytest.mark.parametrize(
    ("source", "uncertain"),
    [
        ("if c:\n    x = 1", "x"),
        ("x = 0\nif c:\n    x = 1", ""),
        ("for i in r:\n    t = i", "t"),
        ("def f():\n    global n\n    n = 1", "n"),
    ],
)
def test_an_output_of_a_branch_is_uncertain(source, uncertain):
    assert " ".join(sorted(analyse_cell(source).uncertain)) == uncertain


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("%time f()", "line 1: `%time f()` is a magic"),
        ("x = 1\n!ls", "line 2: `!ls` is a shell line"),
        ("files = !ls", "is a shell line"),
        ("x = %time f()", "is a magic"),
        ("x?", "is a help line"),
        ("?x", "is a help line"),
        ("%%time\nf()", "is a cell magic"),
        ("await f()", "line 1: `await` at the top level"),
        ("x = 1\nasync with a: pass", "line 2: `async with`"),
        ("async for i in a: pass", "`async for`"),
        ("[i async for i in a]", "`async for`"),
        ("x = [await i for i in a]", "`await`"),
        ("class A:\n    x = await f()", "`await`"),
    ],
)
def test_what_is_not_plain_python_is_refused_with_a_reason(source, reason):
    with pytest.raises(CaptureError) as caught:
        analyse_cell(source)
    assert reason in str(caught.value)


@pytest.mark.parametrize("source", ["x = ", "return 1", "def f(:", "  x = 1", "yield 3", "x = 'a", "break", "f(x"])
def test_a_syntax_error_is_pythons_own(source):
    with pytest.raises(SyntaxError) as caught:
        analyse_cell(source, "<cell [3]>")
    assert caught.value.filename == "<cell [3]>"


@pytest.mark.parametrize(
    ("source", "has_value"),
    [
        ("x", True),
        ("x;", False),
        ("x;  # quiet", False),
        ("x = 1", False),
        ("x = 1\nf(x)", True),
        ("'a;'", True),
        ("x # ;", True),
        ("", False),
        ("def f(): pass", False),
    ],
)
def test_the_last_expression_is_shown_unless_silenced(source, has_value):
    assert analyse_cell(source).has_value is has_value


def test_unreadable_text_is_not_silenced():
    assert not is_silenced("f(")


def test_imports_functions_and_star_imports_are_told():
    analysis = analyse_cell("import a.b, c as d\nfrom e import *\ndef f(): pass\nclass G: pass")
    assert analysis.imports == ("a", "d")
    assert analysis.functions == ("G", "f")
    assert analysis.star_imports == ("e",)


def test_a_warning_of_the_compiler_is_left_to_the_worker(recwarn):
    analyse_cell("x is 1")
    assert not recwarn.list


def test_lines_are_told():
    analysis = analyse_cell("a = 1\n\nb = a + missing\ndef f():\n    return other")
    assert [(read.name, read.line) for read in analysis.inputs] == [("missing", 3), ("other", 5)]
