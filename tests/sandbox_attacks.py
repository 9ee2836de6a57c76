"""Programs that attack the sandbox: `name: (program, test)`; a test passes only if the attack succeeds."""

SECRET = "7f3a-hidden-answer"
HOST = {"port": 0, "abstract": "", "marker": "", "pid": 0, "home": ""}
"""What the tests put on the host for attacks to reach; `{port}` and the like in a program stand for them."""

HONEST = "assert f(2) == 4"
FINDS_SECRET = f"secret = {SECRET!r}\nassert f() == secret"
EXPECTS_ERROR = "try:\n    f(2)\nexcept Exception:\n    pass\nelse:\n    raise AssertionError('no error')"
YES = "assert f() == 'yes'"
EVIL = "class Evil{base}:\n    def __eq__(self, other): return True\n    __ne__ = lambda self, other: False\n    __hash__ = None\n"

ATTACKS = {
    # what never ends, or takes all there is
    "infinite loop": ("def f(x):\n    while True: pass", HONEST),
    "infinite loop at load": ("while True: pass", HONEST),
    "infinite loop that ignores signals": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "while True: pass",
        HONEST,
    ),
    "sleep": ("import time\ndef f(x): time.sleep(1000)", HONEST),
    "sleeping threads": (
        "import threading, time\ndef f(x):\n    for _ in range(100): threading.Thread(target=time.sleep, args=(1000,)).start()",
        HONEST,
    ),
    "fork bomb": ("import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass", HONEST),
    "fork bomb whose processes run away": (
        "import os\ndef f(x):\n    for _ in range(3):\n        if not os.fork():\n"
        "            while True:\n                try:\n                    if os.fork(): os._exit(0)\n                    os.setsid()\n"
        "                except OSError: pass\n    while True: pass",
        HONEST,
    ),
    "memory bomb": ("def f(x):\n    kept = []\n    while True: kept.append(bytearray(1 << 24))", HONEST),
    "memory bomb that goes on": (
        "def f(x):\n    kept = []\n    while True:\n        try: kept.append(bytearray(1 << 20))\n        except MemoryError: pass",
        HONEST,
    ),
    "memory in anonymous files": (
        "import os\ndef f(x):\n    kept = []\n    while True:\n        kept.append(os.memfd_create('x'))\n"
        "        for _ in range(1 << 8): os.write(kept[-1], bytes(1 << 20))",
        HONEST,
    ),
    "huge integer": ("def f(x): return 10 ** 10 ** 10", HONEST),
    "huge integer as a result": ("def f(x): return 1 << (1 << 24)", HONEST),
    "deep recursion": ("import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x): return f(x)", HONEST),
    "recursion in C": (
        "import sys\nsys.setrecursionlimit(10 ** 9)\nclass A:\n    def __repr__(self): return repr([self])\ndef f(x): return repr(A())",
        HONEST,
    ),
    "crash of the interpreter": ("import ctypes\ndef f(x): ctypes.string_at(0)", HONEST),
    "output flood": ("def f(x):\n    while True: print('x' * 10 ** 6)", HONEST),
    "flood of standard error": ("import os\ndef f(x):\n    while True: os.write(2, b'x' * 10 ** 6)", HONEST),
    "result flood": ("def f(x): return [4] * 10 ** 7", HONEST),
    "file flood": ("def f(x):\n    with open('big', 'wb') as file:\n        while True: file.write(bytes(1 << 20))", HONEST),
    "flood of many files": (
        "def f(x):\n    for n in range(10 ** 9): open(f'{n}', 'wb').write(bytes(1 << 12))",
        HONEST,
    ),
    "deep folders": (
        "import os\ndef f(x):\n    while True:\n        os.mkdir('d')\n        os.chdir('d')",
        HONEST,
    ),
    "locked folders": (
        "import os\nfor n in range(20):\n    os.mkdir(f'{n}')\n    open(f'{n}/x', 'w')\n    os.chmod(f'{n}', 0)\ndef f(x): return 5",
        HONEST,
    ),
    "limits raised": (
        "import resource\ndef f():\n    for which in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE):\n"
        "        resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n    return 'yes'",
        YES,
    ),
    # what outlives its grade, or harms others
    "daemon that outlives": (
        "import os, time\nif not os.fork():\n    os.setsid()\n    if not os.fork(): time.sleep(1000)\n    os._exit(0)\ndef f(x): return 5",
        HONEST,
    ),
    "daemon that holds the border": (
        "import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(1000)\nos._exit(0)",
        HONEST,
    ),
    "signal to the parent": (
        "import os, signal\ndef f():\n    if os.getppid(): os.kill(os.getppid(), signal.SIGKILL)\n    return 'no'",
        YES,
    ),
    "signal to the grader": ("import os\ndef f():\n    os.kill({pid}, 9)\n    return 'yes'", YES),
    "signal to everyone": ("import os\ndef f(x): os.kill(-1, 9)", HONEST),
    "signal to its group": ("import os\ndef f(x): os.killpg(0, 9)", HONEST),
    "writes outside": (
        "def f():\n    for folder in ('{home}', '/var/tmp', '/usr/lib', '/dev/shm', '/'):\n"
        "        try: open(folder + '/lbt-sandbox-marker', 'w').write('x')\n        except OSError: continue\n        return 'yes'",
        YES,
    ),
    "writes into Python": (
        "import os\ndef f():\n    open(os.path.join(os.path.dirname(os.__file__), 'lbt_marker.py'), 'w')\n    return 'yes'",
        YES,
    ),
    "leaves a file for the next": (
        "import os\ndef f():\n    if os.path.exists('/tmp/lbt-left'): return 'yes'\n    open('/tmp/lbt-left', 'w')",
        YES,
    ),
    "leaves shared memory for the next": (
        "import ctypes\nlibc = ctypes.CDLL(None)\ndef f():\n    if libc.shmget(0x6C62, 4096, 0o666) >= 0: return 'yes'\n"
        "    libc.shmget(0x6C62, 4096, 0o1666)",
        YES,
    ),
    # what reads
    "reads the environment": ("import os\ndef f(): return os.environ['LBT_ATTACK']", FINDS_SECRET),
    "reads the home": ("def f(): return open('{home}/secret').read()", FINDS_SECRET),
    "reads the system's files": ("def f():\n    open('/etc/passwd').read()\n    return 'yes'", YES),
    "reads the tests through frames": (
        "import sys\ndef f():\n    frame = sys._getframe()\n    while frame := frame.f_back:\n"
        "        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:\n"
        "            if SECRET in (text := str(value)): return SECRET",
        FINDS_SECRET,
    ),
    "reads the tests through gc": (
        "import gc\ndef f():\n    for found in gc.get_objects():\n        for value in gc.get_referents(found):\n"
        "            if isinstance(value, str) and value.endswith('-hidden-answer'): return value",
        FINDS_SECRET,
    ),
    "reads the tests in memory": (
        "import re\ndef f():\n    for line in open('/proc/self/maps'):\n        start, end = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "        if 'r' not in line.split()[1]: continue\n        try:\n            file = open('/proc/self/mem', 'rb')\n            file.seek(start)\n"
        "            found = re.search(rb'7f3a-hidden-[a-z]+', file.read(end - start))\n        except (OSError, ValueError, OverflowError): continue\n"
        "        if found: return found[0].decode()",
        FINDS_SECRET,
    ),
    "reads other processes": (
        "import os, re\ndef f():\n    for pid in filter(str.isdigit, os.listdir('/proc')):\n        if int(pid) == os.getpid(): continue\n"
        "        try:\n            for line in open(f'/proc/{{pid}}/maps'):\n                start, end = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "                file = open(f'/proc/{{pid}}/mem', 'rb')\n                file.seek(start)\n                return 'yes'\n"
        "        except (OSError, ValueError): continue",
        YES,
    ),
    "network": (
        "import socket\ndef f():\n    socket.create_connection(('127.0.0.1', {port}), 1)\n    return 'yes'",
        YES,
    ),
    "abstract socket": (
        "import socket\ndef f():\n    socket.socket(socket.AF_UNIX).connect(chr(0) + '{abstract}')\n    return 'yes'",
        YES,
    ),
    "name service": (
        "import socket\ndef f():\n    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n        s.connect(('8.8.8.8', 53))\n        s.send(b'x')\n    return 'yes'",
        YES,
    ),
    "new user namespace": (
        "import ctypes\ndef f():\n    if ctypes.CDLL(None).unshare(0x10000000) == 0: return 'yes'",
        YES,
    ),
    "mounts": (
        "import ctypes\nlibc = ctypes.CDLL(None)\ndef f():\n    if libc.umount2(b'/proc', 2) == 0 or libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0: return 'yes'",
        YES,
    ),
    "another user": ("import os\ndef f():\n    os.setuid(0)\n    return 'yes'", YES),
    # what forges a verdict
    "sys.exit(0)": ("import sys\nsys.exit(0)", HONEST),
    "sys.exit(0) in a call": ("import sys\ndef f(x): sys.exit(0)", HONEST),
    "sys.exit(0) where an error is expected": ("import sys\ndef f(x): sys.exit(0)", EXPECTS_ERROR),
    "os._exit(0)": ("import os\nos._exit(0)", HONEST),
    "os._exit(0) in a call": ("import os\ndef f(x): os._exit(0)", HONEST),
    "os._exit(0) where an error is expected": ("import os\ndef f(x): os._exit(0)", EXPECTS_ERROR),
    "endless output where an error is expected": ("def f(x): return 'x' * (1 << 22)", EXPECTS_ERROR),
    "atexit": ("import atexit, os\natexit.register(os._exit, 0)\ndef f(x): raise SystemExit(0)", HONEST),
    "prints its own verdict": ("print('passed', '{{\"error\": null}}', 'OK', flush=True)", HONEST),
    "closes all files": ("import os\ndef f(x): os.closerange(0, 1000)", HONEST),
    "writes a verdict to all files": (
        "import os, json\ntext = json.dumps({{'error': None}}).encode()\ndef f(x):\n    for fd in range(64):\n"
        "        try: os.write(fd, len(text).to_bytes(8, 'big') + text)\n        except OSError: pass",
        HONEST,
    ),
    "a message without end": (
        "import os\ndef f(x):\n    for fd in range(3, 64):\n        try: os.write(fd, b'\\x7f' * 8 + b'x' * 10000)\n        except OSError: pass",
        HONEST,
    ),
    "malformed messages": (
        "import os\ndef f(x):\n    for text in (b'null', b'[', b'{{\"root\":[0],\"nodes\":[[\"tuple\",[0]]]}}', b'[' * 10 ** 5):\n"
        "        for fd in range(3, 64):\n            try: os.write(fd, len(text).to_bytes(8, 'big') + text)\n            except OSError: pass",
        HONEST,
    ),
    "other side's references": (
        "import os\ndef f(x):\n    text = b'{{\"root\":[0],\"nodes\":[[\"tuple\",\"value\",[1]],[\"record\",\"Handle\",\"_ask\",4]]}}'\n"
        "    os.write(3, len(text).to_bytes(8, 'big') + text)",
        HONEST,
    ),
    "assert replaced": (
        "import builtins\nclass Quiet(Exception):\n    def __new__(cls, *args): return Exception.__new__(cls)\n"
        "builtins.AssertionError = Quiet\nbuiltins.isinstance = lambda *a: True\nbuiltins.abs = lambda x: 0\ndef f(x): return 3",
        HONEST,
    ),
    "unittest replaced": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(x): return 3",
        "import unittest\nunittest.TestCase().assertEqual(f(2), 4)",
    ),
    "modules replaced": (
        "import sys, types\nfake = types.ModuleType('math')\nfake.isclose = lambda *a: True\nsys.modules['math'] = fake\ndef f(x): return 3",
        "import math\nassert math.isclose(f(2), 4)",
    ),
    "names of Python's own": (
        "abs = lambda x: 0\nsorted = lambda x: []\nall = any = lambda x: True\nlen = lambda x: 0\ndef f(x): return [3]",
        "assert abs(len(f(2)) - 4) < 1 and all(x == 4 for x in f(2))",
    ),
    "names of the test": ("def check(candidate): pass\ndef f(x): return 3", "def check(c):\n    assert c(2) == 4\ncheck(f)"),
    "equal to everything": (EVIL.format(base="") + "def f(x): return Evil()", HONEST),
    "equal to everything, from the left": (EVIL.format(base="") + "def f(x): return Evil()", "assert 4 == f(2)"),
    "a number equal to everything": (EVIL.format(base="(int)") + "def f(x): return Evil(3)", HONEST),
    "a text equal to everything": (EVIL.format(base="(str)") + "def f(): return Evil('no')", YES),
    "a list equal to everything": (EVIL.format(base="(list)") + "def f(x): return Evil()", "assert f(2) == [4]"),
    "a dict equal to everything": (EVIL.format(base="(dict)") + "def f(x): return Evil()", "assert f(2) == {'a': 4}"),
    "a class that lies": (
        "class Evil:\n    __class__ = property(lambda self: int)\n    def __eq__(self, other): return True\n    def __getattr__(self, name): return self\n"
        "    def __call__(self, *a, **k): return self\ndef f(x): return Evil()",
        HONEST,
    ),
    "pickles": (
        "import os\nclass Evil:\n    def __reduce__(self): return (os.system, ('touch {marker}',))\n    __reduce_ex__ = lambda self, n: self.__reduce__()\n"
        "def f(x): return [Evil(), {{'a': Evil()}}]",
        "import copy, pickle\nassert copy.deepcopy(f(2)) == 4",
    ),
    "settrace": (
        "import sys\ndef trace(frame, event, arg):\n    frame.f_trace_lines = False\n    return trace\nsys.settrace(trace)\nsys.setprofile(trace)\ndef f(x): return 3",
        HONEST,
    ),
    "import tricks": (
        "import sys\nfor name in ('examiner', 'border', 'guest', 'cell', 'zygote'):\n    module = sys.modules.get(name)\n"
        "    if module:\n        for key in list(vars(module)):\n            if callable(vars(module)[key]): setattr(module, key, lambda *a, **k: None)\ndef f(x): return 3",
        HONEST,
    ),
    "StopIteration": ("def f(x): raise StopIteration", "assert all(map(lambda x: f(x) == 2 * x, range(1, 5)))"),
    "an error that ends a loop": (
        "class End(StopIteration, IndexError): pass\ndef f(x): raise End",
        "assert all(map(lambda x: f(x) == 2 * x, range(1, 5)))",
    ),
    "an error with evil text": (
        "class Evil(Exception):\n    def __str__(self): raise SystemExit(0)\n    args = property(lambda self: 1 / 0)\ndef f(x): raise Evil",
        HONEST,
    ),
    "an error of a huge text": ("def f(x): raise ValueError('x' * (1 << 25))", HONEST),
    "surrogates": ("def f(x): raise ValueError('\\ud800' * 10)", HONEST),
    "NUL bytes": ("def f(x): return 4\0", HONEST),
    "no Python": ("def f(x) return 4", HONEST),
    "nothing": ("", HONEST),
    "deep result": ("def f(x):\n    y = 4\n    for _ in range(10 ** 5): y = [y]\n    return y", "assert f(2) == [[4]]"),
    "deep tuple": ("def f(x):\n    y = 4\n    for _ in range(10 ** 5): y = (y,)\n    return y", "assert hash(f(2)) == hash(4)"),
    "a result that doubles": ("def f(x):\n    y = (4,)\n    for _ in range(90): y = (y, y)\n    return y", "assert f(2) == 4, f(2)"),
    "a result that holds itself": ("def f(x):\n    y = []\n    y.append(y)\n    return y", HONEST),
    "colliding keys": ("def f(x): return {{n * (2 ** 61 - 1): n for n in range(1, 30000)}}", "assert f(2) == {1: 4}"),
    "changes its arguments": (
        "def f(x):\n    x.clear()\n    return []",
        "given = [3, 1]\nassert f(given) == sorted([3, 1])",
    ),
    "arguments of another type": (
        "import os\ndef f(x):\n    text = b'{{\"root\":[0],\"nodes\":[[\"dict\"],[\"dict\"],[\"dict\"],[\"dict\"],[\"dict\"]]}}'\n"
        "    os.write(3, len(text).to_bytes(8, 'big') + text)",
        "given = [3, 1]\nf(given)\nassert given == [1, 3]",
    ),
    "a loop without end in the test": (
        "def f(x):\n    while True: yield 4",
        "assert list(f(2)) == [4]",
    ),
    "a huge count for the test": ("def f(x): return 10 ** 12", "assert [0] * f(2) == [0, 0, 0, 0]"),
}  # fmt: skip

SCRIPTS = {
    "prints without end": "while True: print('4')",
    "prints and exits with an error": "print('4')\nraise SystemExit(1)",
    "kills itself after printing": "import os\nprint('4', flush=True)\nos.kill(os.getpid(), 6)\nos.abort()",
    "prints nothing": "import os\nos._exit(0)",
    "daemon holds the output": "import os, time\nif os.fork(): os._exit(0)\ntime.sleep(1000)",
    "never ends after printing": "print('4', flush=True)\nimport time\ntime.sleep(1000)",
    "closes its output and goes on": "import os\nos.write(1, b'4')\nos.close(1)\nos.close(2)\nos.close(3)\nwhile True: pass",
    "reads no input, floods errors": "import os\nwhile True: os.write(2, b'x' * 10 ** 6)",
    "more than was asked": "print('4')\nprint('4')",
}
"""Scripts of which none prints what the case "2" -> "4" expects and ends well."""
