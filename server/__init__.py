"""The parts that gunicorn loads before the application. They must not import `app`: gevent must be loaded first.

gevent_worker.py   StreamWorker: gunicorn's gevent worker, with a shutdown that finishes running requests
http_messages.py   reads and writes the heads of plain HTTP messages faster than gunicorn
stream_socket.py   StreamSocket: gevent's socket, with cheaper small reads and writes
stop_notice.py     informs workers whether the whole server stops, or only they do
"""
