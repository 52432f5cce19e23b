"""What happens when the upstream fails, is slow, or is no longer waited for.

- `policy.py`: `Policy`, which makes a call of attempts: fallback over models, around retries, around the circuit breaker
- `retry.py`: which errors are retried, how long to wait before it, and `RetryBudget`
- `breaker.py`: `CircuitBreaker`, one circuit for each operation of each model, shared by all processes
- `key_ring.py`: `KeyRing`, which chooses the key of each request, and sets one that the upstream refuses aside
- `drain.py`: `DrainPool`, which reads answers to their end after their clients have left
- `running.py`: runs a call to its end while its client may leave
"""
