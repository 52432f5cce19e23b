"""Canaries in what is sent by other ways than a question: administration, batches, webhooks, repeats, kept reasoning."""

from __future__ import annotations

from urllib.parse import unquote

from tests.fakes.site import ALL, bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion
from tests.fakes.wire.bodies import CALL, TOOL, USER, placed
from tests.web.observation.test_canaries import CANARY, world

__all__ = ["world"]

OWN = {"Origin": "http://localhost"}


ADMINISTRATION = [
    ("/admin/sign-in", {"link": CANARY}),
    ("/admin/keys", {"tenant": f"a {CANARY}", "name": CANARY, "scope.chat": CANARY, CANARY: CANARY}),
    (f"/admin/keys/{CANARY}/rotate", {"hours": CANARY}),
    (f"/admin/keys/{CANARY}/revoke", {}),
    ("/admin/tokens/revoke", {"tenant": f"a {CANARY}", "user": CANARY}),
    ("/admin/limits/set", {"kind": CANARY, "tenant": "a", "id": CANARY, "budget_usd": CANARY}),
    ("/admin/limits/clear", {"kind": CANARY, "tenant": "a", "id": CANARY}),
]


@each_row(
    ("path", "form", "is_signed_in"),
    [(*row, is_signed_in) for is_signed_in in (True, False) for row in ADMINISTRATION],
    quickly=lambda path, form, is_signed_in: is_signed_in or path in {"/admin/sign-in", "/admin/keys"},
)
def test_forms_of_the_administration(world, path, form, is_signed_in):
    world.client = world.app.test_client()
    if is_signed_in:
        printed = world.app.test_cli_runner().invoke(
            args=["admin", "login-url", "--url", "http://localhost", "--name", "grace"]
        )
        link = unquote(printed.stdout.strip().partition("link=")[2])
        assert world.open("/admin/sign-in", method="POST", data={"link": link}, headers=OWN).status_code == 303
        page = world.open("/admin/keys").text
        form = {"formToken": page.partition('name="formToken" value="')[2].partition('"')[0], **form}
        world.check(link)

    answer = world.open(path, method="POST", data=form, headers=OWN)

    assert 400 <= answer.status_code < 500
    world.check(CANARY)


def test_batches_and_limits_of_keys(world):
    key = world.services.authenticator.keys.create(tenant="acme", name="server", scopes=ALL.split(",")).text
    for body in (
        {"requests": [{"customId": "a", "body": {"message": CANARY}}]},
        {"requests": [{"customId": f"a {CANARY}", "body": {"message": CANARY, CANARY: 1}}]},
        {"kind": CANARY, "requests": [{"customId": CANARY, CANARY: 1}], CANARY: 1},
        {"requests": CANARY},
    ):
        world.open("/api/batches", method="POST", json=body, headers=bearer(key))
    for path in (
        f"/api/batches/{CANARY}",
        f"/api/batches?after={CANARY}",
        f"/api/usage?user={CANARY}&by={CANARY}",
    ):
        world.open(path, headers=bearer(key))
    world.open(f"/api/admin/limits/user/{CANARY}", method="PUT", json={CANARY: CANARY}, headers=bearer(key))
    world.open(f"/api/tokens/{CANARY}", method="DELETE", headers=bearer(key))
    world.open(
        "/api/tokens", method="POST", json={"userId": f"{CANARY}\n", "scopes": [CANARY]}, headers=bearer(key)
    )
    world.check(CANARY)


def test_webhooks_repeats_and_sealed_reasoning(world):
    signed = {"webhook-id": CANARY, "webhook-timestamp": CANARY, "webhook-signature": f"v1,{CANARY}"}
    world.open("/webhooks/openai", method="POST", data=f'{{"id": "{CANARY}"}}', headers=signed)

    for _ in range(2):
        world.upstream.answers(completion("Hi"))
        repeated = world.open(
            "/api/chat", method="POST", json={"message": "Hi"}, headers={"Idempotency-Key": f"{CANARY}-1"}
        )
        assert repeated.status_code == 200
    world.open("/api/chat", method="POST", json={"message": "Another"}, headers={"Idempotency-Key": f"{CANARY}-1"})

    answered = {"role": "assistant", "content": None, "toolCalls": [CALL], "reasoning": f"r1.{CANARY}"}
    result = {"role": "tool", "toolCallId": "call_1", "content": CANARY}
    world.open("/api/chat", method="POST", json={"messages": [USER, answered, result]})
    world.check(CANARY)


@each_row("is_stream", [True, False])
def test_items_of_responses(world, is_stream):
    call = placed(CALL, "function.arguments", f'{{"city": "{CANARY}"}}')
    function = {"type": "function", **TOOL["function"]}
    items = [
        {"role": "user", "content": CANARY},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": CANARY},
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "get_weather",
            "arguments": call["function"]["arguments"],
        },
        {"type": "function_call_output", "call_id": "call_1", "output": CANARY},
    ]
    for body in (
        {"input": items, "tools": [function], "instructions": CANARY, "metadata": {CANARY: CANARY}},
        {"input": items, "tools": [{**function, "type": CANARY}]},
        {"input": [*items, {"type": CANARY}]},
        {"input": items[-1:], "previous_response_id": CANARY},
    ):
        world.upstream.answers(completion(CANARY))
        world.open("/v1/responses", method="POST", json={**body, "stream": is_stream})
    world.check(CANARY)
