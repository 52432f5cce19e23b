"""What gunicorn's main process, the arbiter, does beyond starting workers.

command_line.py    refuses what cannot work on the command line
start_check.py     says why the server cannot start, or cannot take new settings
loaded_settings.py gives each worker the settings that the arbiter has loaded, whatever .env says by then
boot_failures.py   lets the other workers serve on while a new one cannot start
boot_signals.py    lets no worker miss a signal to stop while it boots
stop_notice.py     informs workers why they stop, and who takes what comes after
death_notice.py    notes when a worker died, for the charges of the calls that it was making
metrics_folder.py  prepares the folder in which workers count for /metrics
"""
