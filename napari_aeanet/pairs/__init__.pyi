from .checks import (
    check_pairs as check_pairs,
)
from .name_matching import (
    guess_roles as guess_roles,
)
from .name_matching import (
    natural_order as natural_order,
)
from .pair import (
    ImagePair as ImagePair,
)
from .pair import (
    PairList as PairList,
)
from .pair import (
    PairProblem as PairProblem,
)
from .pair import (
    Severity as Severity,
)
from .pair_list import (
    load_pairs as load_pairs,
)
from .pair_list import (
    save_pairs as save_pairs,
)
from .registration_report import (
    save_contact_sheet as save_contact_sheet,
)
from .registration_report import (
    save_table as save_table,
)
from .run import (
    PairRegistered as PairRegistered,
)
from .run import (
    register_all_events as register_all_events,
)
from .sources import (
    guess_pairs as guess_pairs,
)
from .sources import (
    pairs_from_csv as pairs_from_csv,
)
from .sources import (
    pairs_from_folders as pairs_from_folders,
)
from .sources import (
    pairs_from_npz as pairs_from_npz,
)
from .sources import (
    pairs_from_stacks as pairs_from_stacks,
)
