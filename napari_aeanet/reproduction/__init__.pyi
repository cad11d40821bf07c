from .papers import (
    EXPERIMENTS as EXPERIMENTS,
)
from .run import (
    reproduce_events as reproduce_events,
)
from .settings import (
    Reproduced as Reproduced,
)
from .settings import (
    ReproduceSettings as ReproduceSettings,
)
from .settings import (
    UnitDone as UnitDone,
)
from .table import (
    as_text as as_text,
)
from .table import (
    remarks as remarks,
)
from .table import (
    save_table as save_table,
)
from .table import (
    table_rows as table_rows,
)
