"""The checks of `flask doctor`: whether this installation works, and if not, why and what to do. Nothing shows a secret.

command       the command itself
finding       Finding: the result of one check
examine       runs all checks; a check that crashes is reported as a finding
machine       Python, packages, SQLite and its file system, limits of the system
files         .env, the secrets and the folders: owners and modes, and the effect of a replaced secret
database      whether the database answers and can be written, and why not
redis_server  the same for Redis
reasons       the known reasons why a server cannot be reached
keys          the upstream's address, its keys and models
models        prices and shutdown dates of the models
clock         compares this machine's clock with another's
certificate   whether a server's certificate is valid, and for how long
timeouts      the timeouts of Nginx, systemd, gunicorn and the application
front         the site as a browser sees it: certificate, streams, CORS
"""
