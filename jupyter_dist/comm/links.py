"""Which messages each side of each link says and understands: the only place where codecs are made.

The serving side has a codec for each role it lets in; the connecting side of a link has one. A role that is not named
here cannot authenticate there: a peer cannot talk to a scheduler, nor a nanny to a holder.
"""

from collections.abc import Mapping
from types import MappingProxyType

from jupyter_dist.messages.assignment import FromWorker, ToWorker
from jupyter_dist.messages.submission import FromClient, ToClient
from jupyter_dist.messages.supervision import FromNanny, ToNanny
from jupyter_dist.messages.transfer import FromCaller, FromHolder, ToCaller, ToHolder
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

HOLDER_SIDE: Mapping[str, Codec] = MappingProxyType(
    {"peer": Codec(sends=FromHolder, receives=ToHolder), "client": Codec(sends=ToCaller, receives=FromCaller)}
)
READER_SIDE = Codec(sends=ToHolder, receives=FromHolder)
CALLER_SIDE = Codec(sends=FromCaller, receives=ToCaller)
