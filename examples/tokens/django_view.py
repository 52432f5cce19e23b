import os
import uuid

import requests
from django.http import JsonResponse


def gatehouse_token(request):
    visitor = request.session.setdefault("visitor", uuid.uuid4().hex)
    fields = {"userId": visitor, "ttlS": 900, "scopes": ["chat"]}
    headers = {"Authorization": f"Bearer {os.environ['GATEHOUSE_KEY']}"}
    answer = requests.post(f"{os.environ['GATEHOUSE_URL']}/api/tokens", json=fields, headers=headers, timeout=10)
    return JsonResponse(answer.json(), status=answer.status_code, headers={"Cache-Control": "no-store"})
