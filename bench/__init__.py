"""Measure the cost of a call through Gatehouse, compared with bare nginx and the tutorial design: `python -m bench`.

Everything runs on loopback in one run: a fake OpenAI, the servers measured, and a load client, each in
processes of their own. The machine is assumed to be noisy, so rounds are interleaved over the servers, and
what counts is CPU time and the ratios within a round. Linux only: CPU and memory are read from the kernel.
"""
