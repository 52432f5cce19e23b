"""What `flask doctor` looks at: whether this installation works, and if not, why and what to do. Nothing shows a secret.

finding    Finding: what one check found
examine    runs all checks; a check that fails itself is a finding as well
machine    Python, packages, SQLite and its file system, limits of the system
files      .env and the folders: owners and modes
stores     the database and Redis: reachable or not, and why not
upstream   the keys, the models, their prices and shutdowns, the clock
timeouts   those of Nginx, systemd, gunicorn and the application
front      what a browser meets at the site's URL: certificate, streams, CORS
probe      the signed header that opens the stream which `front` reads
"""
