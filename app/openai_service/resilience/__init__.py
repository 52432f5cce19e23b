"""Handles failures and delays of the upstream, and clients that disconnect.

- `policy.py`: `Policy`, which makes the attempts of a call: for each model, for each retry, if the circuit is closed
- `retry.py`: which errors are retried, how long to wait before a retry, and `RetryBudget`
- `breaker.py`: `CircuitBreaker`, one circuit for each operation of each model, shared by all processes
- `key_ring.py`: `KeyRing`, which chooses the key of each request and sets aside keys that the upstream refuses
- `drain.py`: `DrainPool`, which reads answers to their end after their clients have disconnected
- `running.py`: `CallRunner`, which runs a call and checks whether its client is still connected
"""
