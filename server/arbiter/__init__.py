"""Extensions of gunicorn's main process, the arbiter.

command_line.py    refuses arguments that Gatehouse cannot run with
start_check.py     reports why the server cannot start, or cannot reload its settings
loaded_settings.py passes the settings that the arbiter has loaded to each worker, even if .env has changed
boot_failures.py   keeps the server running if a replacement worker cannot start
boot_signals.py    blocks stop signals while a worker boots, so that it misses none
stop_notice.py     informs workers why they stop, and who accepts further connections
death_notice.py    records when a worker died, for the charges of its running calls
metrics_folder.py  prepares the folder in which workers count for /metrics
"""
