from .clustering import (
    MapGroup as MapGroup,
)
from .clustering import (
    MapStatistics as MapStatistics,
)
from .clustering import (
    by_score as by_score,
)
from .clustering import (
    group_maps as group_maps,
)
from .export import (
    AGAINST as AGAINST,
)
from .export import (
    EXPORTS as EXPORTS,
)
from .export import (
    FOR as FOR,
)
from .export import (
    MOST_COLUMNS as MOST_COLUMNS,
)
from .export import (
    RegionRow as RegionRow,
)
from .export import (
    contrast_limit as contrast_limit,
)
from .export import (
    export_maps as export_maps,
)
from .export import (
    plane_of as plane_of,
)
from .export import (
    region_rows as region_rows,
)
from .export import (
    save_figure as save_figure,
)
from .export import (
    save_rows as save_rows,
)
from .export import (
    save_table as save_table,
)
from .influence import (
    difference_events as difference_events,
)
from .influence import (
    ranking_events as ranking_events,
)
from .mosaic import (
    GRID as GRID,
)
from .mosaic import (
    make_mosaic as make_mosaic,
)
from .run import (
    relevance_events as relevance_events,
)
from .settings import (
    Difference as Difference,
)
from .settings import (
    Ranking as Ranking,
)
from .settings import (
    RelevanceMaps as RelevanceMaps,
)
from .settings import (
    RelevanceSettings as RelevanceSettings,
)
