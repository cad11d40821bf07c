from .importing import import_package as import_package
from .run import export_events as export_events
from .run import export_model as export_model
from .settings import Exported as Exported
from .settings import ExportSettings as ExportSettings
from .settings import Target as Target
