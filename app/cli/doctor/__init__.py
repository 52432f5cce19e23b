"""What `flask doctor` looks at: whether this installation works, and if not, why and what to do. Nothing shows a secret.

command       the command itself
finding       Finding: what one check found
examine       runs all checks; a check that fails itself is a finding as well
machine       Python, packages, SQLite and its file system, limits of the system
files         .env, the secrets and the folders: owners and modes, and what a change of a secret changes
database      whether it answers and can be written, and why not
redis_server  the same of Redis
reasons       the known words for why something cannot be reached
keys          the upstream's address, its keys and models
models        their prices and shutdowns
clock         this machine's beside that of another
certificate   whether that of a server is accepted, and for how long
timeouts      those of Nginx, systemd, gunicorn and the application
front         what a browser meets at the site's URL: certificate, streams, CORS
"""
