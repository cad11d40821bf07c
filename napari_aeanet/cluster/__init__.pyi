from .pieces import on_workers_events as on_workers_events
from .run import restore_on_cluster as restore_on_cluster
from .run import restore_on_cluster_events as restore_on_cluster_events
from .settings import ClusterSettings as ClusterSettings
from .settings import Connected as Connected
from .slurm import SlurmSite as SlurmSite
from .slurm import job_script as job_script
from .slurm import read_site as read_site
