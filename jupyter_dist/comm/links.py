"""Which messages each side of each link says and understands: the only place where codecs are made.

The serving side has a codec for each role it lets in; the connecting side of a link has one. A role that is not named
here cannot authenticate there: a peer cannot talk to a scheduler, nor a nanny to a holder.
"""

from collections.abc import Mapping
from types import MappingProxyType

from jupyter_dist.messages.assignment import FromWorker, ToWorker
from jupyter_dist.messages.submission import FromClient, ToClient
from jupyter_dist.messages.supervision import FromNanny, ToNanny
from jupyter_dist.messages.transfer import FromHolder, ToHolder
from jupyter_dist.protocol.codec import Codec

SCHEDULER_SIDE: Mapping[str, Codec] = MappingProxyType(
    {
        "client": Codec(sends=ToClient, receives=FromClient),
        "worker": Codec(sends=ToWorker, receives=FromWorker),
        "nanny": Codec(sends=ToNanny, receives=FromNanny),
    }
)
CLIENT_SIDE = Codec(sends=FromClient, receives=ToClient)
WORKER_SIDE = Codec(sends=FromWorker, receives=ToWorker)
NANNY_SIDE = Codec(sends=FromNanny, receives=ToNanny)

_HOLDER = Codec(sends=FromHolder, receives=ToHolder)
HOLDER_SIDE: Mapping[str, Codec] = MappingProxyType({"peer": _HOLDER, "client": _HOLDER})
READER_SIDE = Codec(sends=ToHolder, receives=FromHolder)
