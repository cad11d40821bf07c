from .assemble import (
    block_of as block_of,
)
from .assemble import (
    output_region as output_region,
)
from .exact import (
    Contexts as Contexts,
)
from .exact import (
    Gathered as Gathered,
)
from .exact import (
    Part as Part,
)
from .exact import (
    around as around,
)
from .layout import (
    Layout as Layout,
)
from .layout import (
    lay_out as lay_out,
)
from .layout import (
    sheets_of as sheets_of,
)
from .layout import (
    tiles_of as tiles_of,
)
from .memory import (
    Memory as Memory,
)
from .memory import (
    tile_bytes as tile_bytes,
)
from .memory import (
    tile_shape_with_halo as tile_shape_with_halo,
)
from .memory import (
    waiting_bytes as waiting_bytes,
)
from .network_input import (
    NetworkInput as NetworkInput,
)
from .output_dtype import (
    encoding_for as encoding_for,
)
from .pixel_size import (
    TOLERANCE as TOLERANCE,
)
from .pixel_size import (
    fit_to_model as fit_to_model,
)
from .run import (
    restore_events as restore_events,
)
from .settings import (
    STREAMED as STREAMED,
)
from .settings import (
    Output as Output,
)
from .settings import (
    Restored as Restored,
)
from .settings import (
    RestoreSettings as RestoreSettings,
)
from .settings import (
    TileDone as TileDone,
)
from .settings import (
    Use as Use,
)
from .settings import (
    height_path as height_path,
)
from .symmetries import (
    ALL as ALL,
)
from .symmetries import (
    IDENTITY as IDENTITY,
)
from .symmetries import (
    DihedralTransform as DihedralTransform,
)
from .symmetries import (
    TransformedSource as TransformedSource,
)
from .tile_runner import (
    TileRunner as TileRunner,
)
from .tile_runner import (
    at_stride as at_stride,
)
