"""The figures of `/metrics`, in Prometheus's form; without `METRICS_ALLOW` nothing here is loaded.

- `metrics.py`: `Metrics`, which the rest of the application knows, and its rendering
- `counters.py`: what is counted as it happens, in each worker
- `attempts.py`: how an attempt ended, in few words
- `worker_files.py`: the files in which the workers count, so that any of them can tell the sums of all
- `sampling.py`: gauges of a worker that have to be looked at again and again
- `readings.py`: what is read from the stores at a scrape, in bounded time
"""
