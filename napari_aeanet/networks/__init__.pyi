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
    channels_last as channels_last,
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
from .config_base import (
    AttentionLayer as AttentionLayer,
)
from .config_json import (
    config_from_json as config_from_json,
)
from .config_json import (
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
    is_out_of_memory as is_out_of_memory,
)
from .device import (
    mixed_precision as mixed_precision,
)
from .device import (
    probe_devices as probe_devices,
)
from .device import (
    release_memory as release_memory,
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
