"""From settings to adapters of the servers of a cluster; each waits until its server answers."""
