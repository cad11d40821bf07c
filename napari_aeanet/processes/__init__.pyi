from .batch_norm import joint_norms as joint_norms
from .group import ALONE as ALONE
from .group import ProcessGroup as ProcessGroup
from .group import together as together
from .launch import is_first as is_first
from .launch import is_told_elsewhere as is_told_elsewhere
from .launch import launcher as launcher
from .launch import process_count as process_count
