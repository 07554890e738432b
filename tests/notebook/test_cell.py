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
    ("match p:\n    case {'a': A.b}: x = 1", "A p", "x"),
    ("match p:\n    case [1, 2] | [3]: x = 1\n    case _: raise E\nx", "E p", "x"),
    # augmented assignment
    ("x[i] += y", "i x y", ""),
    ("x.a += y", "x y", ""),
    ("if c:\n    x = 0\nx += 1", "c x?", "x"),
    ("x @= y", "x y", "x"),
    ("total = 0\nfor i in r:\n    total += f(i)", "f r", "total"),
    ("x = y = 0\nx += y", "", "x y"),
    # deleting, again
    ("x = 1\ndel x\nx = y", "y", "x"),
    ("x, y = 1, 2\ndel x", "", "y"),
    ("del (x, y)", "x y", ""),
    ("for i in r:\n    del i", "r", ""),
    ("if c:\n    del x", "c x", ""),
    # global and nonlocal
    ("global n\nn = 1", "", "n"),
    ("global n\nn", "n", ""),
    ("def f():\n    global a, b\n    a, b = 1, 2\nf()\nc = a + b", "a? b?", "a b c f"),
    ("def f():\n    x = 0\n    def g():\n        nonlocal x\n        x += 1\n    return g", "", "f"),
    ("n = 0\ndef f():\n    global n\n    n += step\nf()", "step", "f n"),
    # functions of the cell and of others
    ("y = helper(x)", "helper x", "y"),
    ("model = Model(size).fit(data)", "Model data size", "model"),
    ("list(map(helper, items))", "helper items", ""),
    ("def f(x, *, k=K): return g(x, k)\ny = f(1)", "K g", "f y"),
    ("def f(): yield x\nlist(f())", "x", "f"),
    ("def outer():\n    def inner(a): return a + shared\n    return inner", "shared", "outer"),
    ("def f(n):\n    if n: return g(n)\ndef g(n): return f(n - 1)\ng(3)", "", "f g"),
    ("f()\ndef f(): return 1", "f", "f"),
    ("def f(a): return a\nf = decorate(f)", "decorate", "f"),
    ("from functools import cache\n@cache\ndef f(n): return f(n - 1) + base", "base", "f"),
    ("@d(x)\n@e\ndef f(): pass", "d e x", "f"),
    ("class A(B):\n    k = K\n    def m(self): return self.k + k", "B K k", "A"),
    ("class A:\n    items = [x for x in xs]\n    n = len(items)", "xs", "A"),
    ("class A:\n    class B:\n        y = z", "z", "A"),
    ("class A:\n    x: T = v", "T v", "A"),
    ("class A:\n    def m(self, other: A) -> A: return other", "A", "A"),
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = start\np = P()", "start", "P p"),
    ("f = lambda *a, k=K, **b: (a, b, k, g)", "K g", "f"),
    ("f = lambda: (y := x)\ny", "x y", "f"),
    ("def f(__x): return __x + __y", "", "f"),
    # comprehensions
    ("[[i * j for j in range(i)] for i in r if i in keep]", "keep r", ""),
    ("{k: v for k, v in d.items() if k not in skip}", "d skip", ""),
    ("{f(x) for x in xs}", "f xs", ""),
    ("any((hit := x) > t for x in xs)\nhit", "t xs", "hit"),
    ("[f for f in fs]\nf(1)", "f fs", ""),
    ("x = 1\n[x for x in range(3)]\nx", "", "x"),
    ("[i for i in i]", "i", ""),
    ("[(lambda: j)() for j in r]", "r", ""),
    ("dict(zip(names, [n ** p for n in ns]))", "names ns p", ""),
    ("def f(): return [g(x) for x in xs if x > low]", "g low xs", "f"),
    # strings, slices, stars
    ("f'{x!r:>{width}} {y=}'", "width x y", ""),
    ("f'{f(a)}'", "a f", ""),
    ("first, *rest = items", "items", "first rest"),
    ("print(*rows, sep=sep)", "rows sep", ""),
    ("x[a:b, ..., c]", "a b c x", ""),
    ("m[i, j] = v", "i j m v", ""),
    ("(a, b)[0]", "a b", ""),
    ("x if (x := f()) else g", "f g", "x"),
    ("while (line := read()):\n    lines.append(line)", "lines read", "line"),
    # imports of every kind
    ("import a.b.c\na.b.c.f(x)", "x", ""),
    ("import a.b as ab\nab.f(x)", "x", ""),
    ("from a import b as c, d\nc(d, e)", "e", ""),
    ("if fast:\n    import numpy as np\nelse:\n    import slow as np\ny = np.ones(n)", "fast n", "y"),
    ("try:\n    import fast as impl\nexcept ImportError:\n    import slow as impl\ny = impl.f()", "", "y"),
    ("from a import *\nfrom b import *\ny = f(x)", "f x", "y"),
    ("def f():\n    from math import sqrt\n    return sqrt(x)", "x", "f"),
    # with, for, try
    ("with lock: n = 1", "lock", "n"),
    ("with (a as x, b as y): z = x + y", "a b", "z"),
    ("with f() as (a, b): c = a", "f", "c"),
    ("with f() as d[k]: pass", "d f k", ""),
    ("for a, (b, c) in r: d = b", "r", "d"),
    ("for i in r: pass\ni", "i? r", ""),
    ("for i in r:\n    for j in i:\n        s = j\ns", "r s?", "s"),
    ("while True:\n    x = f()\n    break\nx", "f x?", "x"),
    ("try:\n    x = 1\nexcept* E as g:\n    y = g\nelse:\n    z = 2", "E", "x y z"),
    ("try:\n    f()\nexcept (A, B) as e:\n    log(e)\n    raise", "A B f log", ""),
    ("try:\n    x = f()\nexcept E:\n    x = None\nelse:\n    y = x\nx", "E f", "x y"),
    # await at the top level
    ("x = await f(y)", "f y", "x"),
    ("async for i in stream:\n    n = i", "stream", "n"),
    ("async with session() as s:\n    body = await s.get(url)", "session url", "body"),
    ("rows = [row async for row in source if await ok(row)]", "ok source", "rows"),
    ("async def f(): return await g(x)\ny = await f()", "g x", "f y"),
    ("import asyncio\nvalues = await asyncio.gather(*map(fetch, urls))", "fetch urls", "values"),
    # shell lines
    ("!ls", "__run_shell__", ""),
    ("!ls {folder}", "__run_shell__ folder", ""),
    ("files = !ls {folder}/*.csv\nn = len(files)", "__read_shell__ folder", "files n"),
    ("for name in names:\n    !gzip {name}", "__run_shell__ names", ""),
    ("!awk '{print $1}' data.txt", "__run_shell__", ""),
    ("!echo $HOME", "__run_shell__", ""),
    ("x = 1\n!echo $x", "__run_shell__", "x"),
    ("text = '''\n!not a line\n'''", "", "text"),
    ("if c:\n    !!date", "__read_shell__ c", ""),
    ("!a \\\n  b {x}\ny = 1", "__run_shell__ x", "y"),
    # assorted
    ("x: int", "", ""),
    ("assert f(x), f'{x} {reason}'", "f reason x", ""),
    ("raise Error(x) from cause", "Error cause x", ""),
    ("lambda: x", "x", ""),
    ("x = (y for y in z)", "z", "x"),
    ("_a, b = 1, 2", "", "b"),
    ("print = log", "log", "print"),
    ("sum = 0\nfor i in r:\n    sum += i", "r", "sum"),
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
    assert len(CELLS) >= 150


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
        ("x = %time f()", "is a magic"),
        ("x?", "is a help line"),
        ("?x", "is a help line"),
        ("%%time\nf()", "is a cell magic"),
    ],
)
def test_what_is_not_plain_python_is_refused_with_a_reason(source, reason):
    with pytest.raises(CaptureError) as caught:
        analyse_cell(source)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "x = ",
        "return 1",
        "def f(:",
        "  x = 1",
        "yield 3",
        "x = 'a",
        "class A:\n    x = await f()",
        "x = 1 !ls",
        "break",
        "f(x",
    ],
)
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


@pytest.mark.parametrize(
    ("source", "is_async"),
    [
        ("await f()", True),
        ("async def f(): await g()", False),
        ("[i async for i in a]", True),
        ("if c:\n    async with a: pass", True),
        ("x = 1", False),
    ],
)
def test_a_cell_that_awaits_at_its_top_level_is_told(source, is_async):
    assert analyse_cell(source).is_async is is_async


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("!ls -l", "__run_shell__('ls -l')"),
        ("if x:\n  !ls {a + 1} $b $HOME",
         "if x:\n  __run_shell__('ls ', ('{a + 1}', lambda: (a + 1)), ' ', ('$b', lambda: (b)), ' $HOME')"),
        ("x = !ls", "x = __read_shell__('ls')"),
        ("a.b[0] = !ls", "a.b[0] = __read_shell__('ls')"),
        ("!!ls", "__read_shell__('ls')"),
        ("!a \\\n b\nx", "__run_shell__('a   b')\n\nx"),
        ("!awk '{print $1}' | tr '{' x", "__run_shell__(\"awk '{print $1}' | tr '{' x\")"),
    ],
)  # fmt: skip
def test_a_shell_line_becomes_a_call_on_its_line(source, code):
    assert analyse_cell(source, known={"b"}).code == code


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
