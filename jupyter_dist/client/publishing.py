"""The part of an Executor that publishes datasets: values with Futures in them that outlive their session."""

from __future__ import annotations

from typing import Any

from jupyter_dist.client.asking import answered, ask, asking, pack, take
from jupyter_dist.client.calls import check_name
from jupyter_dist.client.front import Front
from jupyter_dist.errors import DatasetError, UsageError
from jupyter_dist.messages import GetValue, ListValues, NamedParcel, SetValues, UnsetValue

KIND = "dataset"
SETTING = "dataset_bytes_max"
NO_DEFAULT: Any = object()


class Publishing(Front):
    """Datasets of a cluster, by name."""

    def publish_dataset(self, *args: Any, name: str | None = None, override: bool = False, **kwargs: Any) -> Any:
        """Publish data under a name, for every executor of this cluster, now and after this one is gone.

        ::

            executor.publish_dataset(futures, name="cleaned")
            executor.publish_dataset(train=train_futures, test=test_futures)

        Futures may be anywhere in the data, also inside collections of dask. Their results stay in the cluster until
        the dataset is unpublished or the cluster is restarted.

        Parameters
        ----------
        *args
            The data that is published as ``name``; several are published as one tuple.
        name
            Its name.
        override
            Replace datasets that have these names.
        **kwargs
            More data, by name. All of it is published, or nothing.

        Raises
        ------
        DatasetError
            There is a dataset of that name already. It is a KeyError as well.
        UsageError
            There is data without a name or a name without data, or a Future of another executor.
        PackingError
            Data cannot be pickled, or is larger than ``dataset_bytes_max``: scatter it and publish the future.
        CancelledError
            A Future in it was cancelled.
        CoordinationError
            The cluster can keep no more of this.
        ClusterClosedError
            The executor is closed.
        """
        __tracebackhide__ = True
        return self.perform(self._publish(args, name, kwargs, override=override))

    async def _publish(self, args: tuple[Any, ...], name: str | None, named: dict[str, Any], *, override: bool) -> None:
        if bool(args) != (name is not None):
            raise UsageError("publish data with its name: `publish_dataset(data, name='name')` or with name=data")
        data = dict(named)
        if name is not None:
            data[check_name(name)] = args[0] if len(args) == 1 else args
        if not data:
            raise UsageError("there is nothing to publish: `publish_dataset(data, name='name')`")
        parcels = [NamedParcel(key, pack(self, value, f"dataset {key!r}", SETTING)) for key, value in data.items()]
        is_new = not override
        await ask(self, lambda request: SetValues(request, KIND, tuple(parcels), is_new), "publish_dataset")

    def get_dataset(self, name: str, default: Any = NO_DEFAULT) -> Any:
        """Return a published dataset, with Futures of this executor in it.

        Parameters
        ----------
        name
            Its name.
        default
            What to return when there is none.

        Raises
        ------
        DatasetError
            There is none of that name, and no default. It is a KeyError as well.
        ClusterClosedError
            The executor is closed.
        Exception
            Whatever loading the dataset raises.
        """
        __tracebackhide__ = True
        return self.perform(self._get_dataset(check_name(name), default))

    async def _get_dataset(self, name: str, default: Any) -> Any:
        what = f"dataset {name!r}"
        with asking(self, lambda request: GetValue(request, KIND, name)) as question:
            answer = await answered(self, question, what, 0.0)
            if answer.done:
                return take(self, question, answer.parcels, what)[0]
        if default is NO_DEFAULT:
            raise DatasetError(f"there is no dataset {name!r}: `list_datasets()` tells the names")
        return default

    def list_datasets(self) -> Any:
        """Return the names of all published datasets, as a tuple in order."""
        __tracebackhide__ = True
        return self.perform(self._list_datasets())

    async def _list_datasets(self) -> tuple[str, ...]:
        return (await ask(self, lambda request: ListValues(request, KIND), "list_datasets")).names

    def unpublish_dataset(self, name: str) -> Any:
        """Publish a dataset no more: results that nobody else wants are let go.

        Raises
        ------
        DatasetError
            There is none of that name.
        ClusterClosedError
            The executor is closed.
        """
        __tracebackhide__ = True
        return self.perform(self._unpublish(check_name(name)))

    async def _unpublish(self, name: str) -> None:
        answer = await ask(self, lambda request: UnsetValue(request, KIND, name), f"dataset {name!r}")
        if not answer.count:
            raise DatasetError(f"there is no dataset {name!r}: `list_datasets()` tells the names")
