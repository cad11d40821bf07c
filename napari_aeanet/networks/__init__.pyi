from . import (
    losses as losses,
)
from .attention import (
    Attention as Attention,
)
from .attention import (
    Context as Context,
)
from .attention import (
    gather_context as gather_context,
)
from .attention_block import (
    AttentionBlock as AttentionBlock,
)
from .attention_block import (
    PendingAttention as PendingAttention,
)
from .blocks import (
    CHANNELS_LAST as CHANNELS_LAST,
)
from .config import (
    NetworkConfig as NetworkConfig,
)
from .config import (
    ProjectionConfig as ProjectionConfig,
)
from .config import (
    SuperResConfig as SuperResConfig,
)
from .config import (
    UNetConfig as UNetConfig,
)
from .config import (
    config_from_json as config_from_json,
)
from .config import (
    config_to_json as config_to_json,
)
from .device import (
    DeviceInfo as DeviceInfo,
)
from .device import (
    choose_device as choose_device,
)
from .device import (
    describe_device as describe_device,
)
from .device import (
    mixed_precision as mixed_precision,
)
from .device import (
    probe_devices as probe_devices,
)
from .factory import (
    build as build,
)
from .factory import (
    parameter_count as parameter_count,
)
from .network import (
    HEIGHT as HEIGHT,
)
from .network import (
    AttentionGrid as AttentionGrid,
)
from .network import (
    Network as Network,
)
from .program import (
    Apply as Apply,
)
from .program import (
    attentions as attentions,
)
from .program import (
    run_program as run_program,
)
from .unet import (
    UNet as UNet,
)
