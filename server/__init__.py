"""The parts that gunicorn loads before the application. They must not import `app`: gevent must be loaded first.

gevent_worker.py   StreamWorker: gunicorn's gevent worker, with a shutdown that finishes running requests
thread_worker.py   StreamThreadWorker: gunicorn's threaded worker, with a shutdown of the same kind
http_messages.py   reads and writes the heads of plain HTTP messages faster than gunicorn
command_line.py    what on the command line cannot work
start_check.py     why the server cannot start, or take new settings
loaded_settings.py gives each worker the settings that the arbiter has loaded, whatever .env says by then
boot_failures.py   lets the others serve on while a worker that replaces one cannot start
refusals.py        JSON for what gunicorn refuses, and log lines without a part of the request
refusal_answers.py the answer to a request that no application gets, in the form of its errors
arrival.py         bounds slow requests, and the connections of one address
continuing.py      asks a client that waits with its body for it, once the application reads it
lingering.py       closes answered connections without waiting for their clients
listening.py       accepts connections, a fair share in each worker
stream_socket.py   StreamSocket: gevent's socket, with cheaper small reads and writes
relay.py           Relay: passes on the parts of a stream in gevent's loop, while the greenlet of its request sleeps
boot_signals.py    lets no worker miss a signal to stop while it boots
death_notice.py    notes when a worker died, for the charges of the calls that it was at
stop_notice.py     informs workers why they stop, and who takes what comes after
server_log.py      gunicorn's lines and the server's own, in the format of the application's
metrics_folder.py  the folder in which workers count for /metrics
"""
