"""openai-agents, which calls /v1/responses by itself: one run, streamed if `streams`; prints the final output."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import Agent, Runner, ToolOutputImage, function_tool, set_default_openai_client, set_tracing_disabled
from agents.tool import CustomTool
from openai import AsyncOpenAI

IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


@function_tool
def plot() -> ToolOutputImage:
    """Plot."""
    return ToolOutputImage(image_url=IMAGE)


async def run(_: object, text: str) -> str:
    return f"ran {text}"


TOOLS = {
    "weather": weather,
    "plot": plot,
    "run": CustomTool(name="run", description="Runs it.", on_invoke_tool=run),
}


async def main(base: str, options: dict[str, Any]) -> dict[str, Any]:
    set_tracing_disabled(True)
    set_default_openai_client(AsyncOpenAI(base_url=f"{base}/v1", api_key="anonymous", max_retries=0))
    agent = Agent(
        name="Assistant",
        instructions="Be brief.",
        model="gpt-6.1-terra",
        tools=[TOOLS[options.get("tool", "weather")]],
    )
    if not options["streams"]:
        return {"output": (await Runner.run(agent, "Hi")).final_output, "text": ""}
    result = Runner.run_streamed(agent, "Hi")
    text = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
    return {"output": result.final_output, "text": text}


try:
    told = {"found": asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))}
except Exception as error:
    told = {"error": {"name": type(error).__name__, "message": str(error)}}
sys.stdout.write(json.dumps(told))
