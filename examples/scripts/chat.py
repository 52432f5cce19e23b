"""Stream an answer with OpenAI's own package; Gatehouse keeps the key of OpenAI."""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("GATEHOUSE_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ.get("GATEHOUSE_KEY", "anonymous"),
)
question = " ".join(sys.argv[1:]) or "Hello"
stream = client.chat.completions.create(
    model="gpt-6.1-terra", messages=[{"role": "user", "content": question}], stream=True
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
