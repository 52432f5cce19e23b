"""The metrics of `/metrics`, in Prometheus's format. Without `METRICS_ALLOW`, nothing here is loaded.

- `metrics.py`: `Metrics`, the interface for the rest of the application, and the rendering
- `counters.py`: `Counters`, which each worker increments as events happen
- `attempts.py`: names the outcome of an attempt
- `worker_files.py`: the files in which workers count, so that any worker can return the sums of all
- `sampling.py`: sets gauges of a worker once a second
- `readings.py`: reads gauges from the stores at a scrape, in bounded time
"""
