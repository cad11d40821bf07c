from .findings import too_old as too_old
from .run import check_computer as check_computer
from .run import check_computer_events as check_computer_events
from .settings import Checkup as Checkup
from .settings import Condition as Condition
from .settings import Finding as Finding
from .settings import Found as Found
