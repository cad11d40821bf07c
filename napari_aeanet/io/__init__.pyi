from .axes import (
    StackAxis as StackAxis,
)
from .describe import (
    Statistics as Statistics,
)
from .describe import (
    describe_image as describe_image,
)
from .describe import (
    image_statistics as image_statistics,
)
from .files import (
    READERS as READERS,
)
from .files import (
    WRITABLE as WRITABLE,
)
from .files import (
    read_image as read_image,
)
from .files import (
    read_images as read_images,
)
from .files import (
    stem as stem,
)
from .files import (
    write_image as write_image,
)
from .info_bar import (
    find_text_band as find_text_band,
)
from .lazy import (
    blocks as blocks,
)
from .lazy import (
    same_values as same_values,
)
from .ome_zarr import (
    create_omezarr as create_omezarr,
)
from .ome_zarr import (
    open_levels as open_levels,
)
from .ome_zarr import (
    write_chunk as write_chunk,
)
from .published_npz import (
    read_npz as read_npz,
)
