from .run import restore_on_cluster as restore_on_cluster
from .run import restore_on_cluster_events as restore_on_cluster_events
from .settings import ClusterSettings as ClusterSettings
from .settings import Connected as Connected
