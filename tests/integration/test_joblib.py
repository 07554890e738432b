"""The joblib backend: `joblib.Parallel` and scikit-learn on a cluster."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from jupyter_dist import Executor, register_joblib
from jupyter_dist.errors import UsageError
from tests.integration.conftest import wait_until

register_joblib()


def square(number: int) -> int:
    return number * number


def weigh(matrix: np.ndarray, vector: np.ndarray, *, power: int = 1) -> float:
    return float(((matrix @ vector) ** power).sum())


def fail_at(number: int, bad: int) -> int:
    if number == bad:
        raise ValueError(f"number {number} is bad")
    return number


def note_and_wait(folder: str, number: int) -> None:
    if number == 0:
        while len(list(Path(folder).iterdir())) < 1:
            time.sleep(0.005)
        raise ValueError("stop")
    Path(folder, str(number)).touch()
    time.sleep(600)


def run_inside(number: int) -> tuple[str, int, list[int]]:
    inner = Parallel(n_jobs=-1)
    return type(inner._backend).__name__, inner._effective_n_jobs(), inner(delayed(square)(n) for n in range(number))


def test_parallel_gives_results_in_order(executor):
    with parallel_config(backend="jupyter_dist", executor=executor):
        assert Parallel(n_jobs=-1)(delayed(square)(n) for n in range(500)) == [n * n for n in range(500)]
        assert Parallel()([]) == []


def test_parallel_batches_short_calls(executor):
    before = executor.snapshot().finished
    with parallel_config(backend="jupyter_dist", executor=executor):
        Parallel(n_jobs=-1)(delayed(square)(n) for n in range(5000))
    assert executor.snapshot().finished - before < 2500


def test_parallel_with_numpy_arguments_sends_a_shared_array_once(executor):
    matrix, generator = np.arange(250_000.0).reshape(500, 500), np.random.default_rng(0)
    vectors = [generator.random(500) for _ in range(40)]
    with parallel_config(backend="jupyter_dist", executor=executor):
        found = Parallel(n_jobs=-1, batch_size=1)(delayed(weigh)(matrix, vector, power=2) for vector in vectors)
    assert found == [weigh(matrix, vector, power=2) for vector in vectors]
    scattered = [view for view in executor.snapshot().functions if view.label == "scatter"]
    assert sum(view.finished for view in scattered) <= 1


def test_parallel_takes_results_as_they_come(executor):
    with parallel_config(backend="jupyter_dist", executor=executor):
        generator = Parallel(return_as="generator")(delayed(square)(n) for n in range(20))
        assert next(generator) == 0
        assert list(generator) == [n * n for n in range(1, 20)]
        unordered = Parallel(return_as="generator_unordered")(delayed(square)(n) for n in range(20))
        assert sorted(unordered) == [n * n for n in range(20)]


def test_error_of_a_call_is_raised_with_the_workers_traceback(executor):
    with (
        parallel_config(backend="jupyter_dist", executor=executor),
        pytest.raises(ValueError, match="7 is bad") as caught,
    ):
        Parallel()(delayed(fail_at)(number, 7) for number in range(20))
    assert "in fail_at" in "".join(caught.value.__notes__)


def test_error_of_a_call_stops_the_others(executor, tmp_path):
    with parallel_config(backend="jupyter_dist", executor=executor), pytest.raises(ValueError, match="stop"):
        Parallel(batch_size=1)(delayed(note_and_wait)(str(tmp_path), number) for number in range(20))
    wait_until(lambda: not executor.snapshot().counts["processing"], "what ran was stopped")
    assert executor.submit(square, 3).result(10) == 9


def test_timeout_of_parallel_is_raised_and_stops_the_calls(executor):
    with parallel_config(backend="jupyter_dist", executor=executor), pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.1)(delayed(time.sleep)(600) for _ in range(2))
    wait_until(lambda: not executor.snapshot().counts["processing"], "what ran was stopped")


def test_n_jobs_limits_how_many_run_at_a_time(executor):
    with parallel_config(backend="jupyter_dist", executor=executor):
        assert joblib.effective_n_jobs(-1) == 2
        assert joblib.effective_n_jobs(-2) == 1
        assert joblib.effective_n_jobs(7) == 7
        spans = Parallel(n_jobs=2, batch_size=1)(delayed(measure)(0.02) for _ in range(10))
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running = np.cumsum([change for _, change in moments])
    assert running.max() <= 2


def measure(seconds: float) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(seconds)
    return start, time.monotonic()


def test_parallel_inside_a_call_runs_there(executor):
    with parallel_config(backend="jupyter_dist", executor=executor):
        found = Parallel(n_jobs=-1)(delayed(run_inside)(number) for number in range(4))
    assert found == [("SequentialBackend", 1, [n * n for n in range(number)]) for number in range(4)]


def test_grid_search_of_scikit_learn_equals_the_sequential_one(executor):
    data, target = load_digits(return_X_y=True)
    search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.001, 0.01]}, cv=3, n_jobs=-1)
    alone = GridSearchCV(SVC(), search.param_grid, cv=3, n_jobs=1).fit(data, target)
    with parallel_config(backend="jupyter_dist", executor=executor):
        search.fit(data, target)
    assert search.best_params_ == alone.best_params_
    assert search.best_score_ == alone.best_score_
    for column in ("mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_array_equal(search.cv_results_[column], alone.cv_results_[column])
    np.testing.assert_array_equal(search.predict(data), alone.predict(data))


def test_backend_uses_the_default_executor(executor):
    with parallel_config(backend="jupyter_dist"):
        assert Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]


@pytest.mark.parametrize(
    ("before", "after"), [("import joblib", ""), ("", "import joblib"), ("import json", "import sklearn.svm, joblib")]
)
def test_backend_is_there_whether_joblib_was_imported_before_the_executor_or_after_it(before, after):
    program = (
        f"{before}\n"
        "from jupyter_dist import Executor\n"
        "with Executor(n_workers=1):\n"
        f"    {after or 'pass'}\n"
        "    with joblib.parallel_config(backend='jupyter_dist'):\n"
        "        print(joblib.Parallel()(joblib.delayed(abs)(-n) for n in range(3)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\n", "")


def test_importing_the_package_and_an_executor_does_not_import_joblib_or_dask():
    program = (
        "import sys, jupyter_dist\n"
        "jupyter_dist.Executor, jupyter_dist.register_joblib\n"
        "print(sorted({'joblib', 'dask', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_call_that_makes_no_sense_is_refused(executor):
    with (
        pytest.raises(UsageError, match="give an Executor"),
        parallel_config(backend="jupyter_dist", executor="default"),
    ):
        pass
    with parallel_config(backend="jupyter_dist", executor=executor), pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(delayed(square)(n) for n in range(3))
    closed = Executor(executor.info)
    closed.shutdown()
    with parallel_config(backend="jupyter_dist", executor=closed), pytest.raises(Exception, match="shut down"):
        Parallel(n_jobs=2)(delayed(square)(n) for n in range(3))
