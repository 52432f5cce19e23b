CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE entries (
    id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    token_id TEXT,
    route TEXT NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    served_model TEXT,
    state TEXT NOT NULL,
    outcome TEXT,
    source TEXT,
    prompt_tokens BIGINT,
    cached_tokens BIGINT,
    completion_tokens BIGINT,
    reasoning_tokens BIGINT,
    tokens BIGINT,
    cost_micro_usd BIGINT,
    price_version TEXT,
    attempts INTEGER,
    first_token_ms INTEGER,
    total_ms INTEGER,
    held_micro_usd BIGINT DEFAULT 0 NOT NULL,
    held_tokens BIGINT DEFAULT 0 NOT NULL,
    over_hold SMALLINT DEFAULT 0 NOT NULL,
    accounts TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    worker TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    settled_at BIGINT, tool_calls INTEGER, cache_write_tokens BIGINT,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX entries_by_request ON entries (request_id);
CREATE INDEX entries_pending ON entries (lease_until) WHERE state = 'pending';
CREATE TABLE accounts (
    "key" TEXT NOT NULL,
    period TEXT NOT NULL,
    spent_micro_usd BIGINT DEFAULT 0 NOT NULL,
    held_micro_usd BIGINT DEFAULT 0 NOT NULL,
    spent_tokens BIGINT DEFAULT 0 NOT NULL,
    held_tokens BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY ("key", period)
) WITHOUT ROWID;
CREATE TABLE daily_totals (
    day TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    route TEXT NOT NULL,
    requests BIGINT DEFAULT 0 NOT NULL,
    estimated BIGINT DEFAULT 0 NOT NULL,
    unpriced BIGINT DEFAULT 0 NOT NULL,
    prompt_tokens BIGINT DEFAULT 0 NOT NULL,
    cached_tokens BIGINT DEFAULT 0 NOT NULL,
    completion_tokens BIGINT DEFAULT 0 NOT NULL,
    reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
    tokens BIGINT DEFAULT 0 NOT NULL,
    cost_micro_usd BIGINT DEFAULT 0 NOT NULL, cache_write_tokens BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (day, tenant, user_id, model, route)
) WITHOUT ROWID;
CREATE INDEX daily_totals_by_user ON daily_totals (tenant, user_id, day);
CREATE TABLE api_keys (
    id TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE TABLE revoked_tokens (
    tenant TEXT NOT NULL,
    token_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, token_id)
) WITHOUT ROWID;
CREATE INDEX revoked_tokens_by_end ON revoked_tokens (expires_at);
CREATE TABLE revoked_users (
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    issued_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, user_id)
) WITHOUT ROWID;
CREATE INDEX revoked_users_by_end ON revoked_users (expires_at);
CREATE TABLE batches (
    id TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    requests TEXT NOT NULL,
    total INTEGER NOT NULL,
    completed INTEGER DEFAULT 0 NOT NULL,
    failed INTEGER DEFAULT 0 NOT NULL,
    upstream_id TEXT,
    output_file_id TEXT,
    error_file_id TEXT,
    cost_micro_usd BIGINT,
    created_at BIGINT NOT NULL,
    cancel_requested_at BIGINT,
    checked_at BIGINT NOT NULL,
    ended_at BIGINT,
    busy_until BIGINT NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX batches_by_owner ON batches (tenant, user_id, id);
CREATE INDEX batches_open ON batches (checked_at) WHERE ended_at IS NULL;
CREATE TABLE safety_events (
    webhook_id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    tenant TEXT,
    user_id TEXT,
    category TEXT,
    case_id TEXT,
    action TEXT NOT NULL,
    PRIMARY KEY (webhook_id)
) WITHOUT ROWID;
CREATE INDEX safety_events_by_time ON safety_events (received_at);
CREATE TABLE account_limits (
    account TEXT NOT NULL,
    tenant TEXT NOT NULL,
    request_rate TEXT,
    token_rate TEXT,
    concurrent_streams TEXT,
    budget_usd TEXT,
    budget_tokens TEXT,
    version BIGINT NOT NULL,
    PRIMARY KEY (account)
) WITHOUT ROWID;
CREATE INDEX account_limits_by_version ON account_limits (version);
CREATE TABLE limit_versions (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;
CREATE TABLE audit_trail (
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    tenant TEXT,
    target TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE TABLE admin_sessions (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE TABLE outbox (
    target TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    due_at BIGINT,
    attempts INTEGER DEFAULT 0 NOT NULL,
    first_sent_at BIGINT,
    last_error TEXT,
    PRIMARY KEY (target, entry_id)
) WITHOUT ROWID;
CREATE INDEX outbox_by_due ON outbox (target, due_at);
CREATE TABLE rolled_totals (
    level TEXT NOT NULL,
    last_day TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    route TEXT NOT NULL,
    requests BIGINT DEFAULT 0 NOT NULL,
    estimated BIGINT DEFAULT 0 NOT NULL,
    unpriced BIGINT DEFAULT 0 NOT NULL,
    prompt_tokens BIGINT DEFAULT 0 NOT NULL,
    cached_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_tokens BIGINT DEFAULT 0 NOT NULL,
    completion_tokens BIGINT DEFAULT 0 NOT NULL,
    reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
    tokens BIGINT DEFAULT 0 NOT NULL,
    cost_micro_usd BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (level, last_day, tenant, user_id, model, route)
) WITHOUT ROWID;
CREATE INDEX rolled_totals_by_day ON rolled_totals (last_day);
CREATE TRIGGER forget_rolled_totals_insert AFTER INSERT ON daily_totals WHEN (SELECT max(last_day) FROM rolled_totals) >= NEW.day BEGIN DELETE FROM rolled_totals WHERE level IN ('days', 'tenant_days', 'tenant_months', 'user_months') AND last_day >= NEW.day; END;
CREATE TRIGGER forget_rolled_totals_update AFTER UPDATE ON daily_totals WHEN (SELECT max(last_day) FROM rolled_totals) >= min(NEW.day, OLD.day) BEGIN DELETE FROM rolled_totals WHERE level IN ('days', 'tenant_days', 'tenant_months', 'user_months') AND last_day >= min(NEW.day, OLD.day); END;
CREATE TRIGGER forget_rolled_totals_delete AFTER DELETE ON daily_totals WHEN (SELECT max(last_day) FROM rolled_totals) >= OLD.day BEGIN DELETE FROM rolled_totals WHERE level IN ('days', 'tenant_days', 'tenant_months', 'user_months') AND last_day >= OLD.day; END;
INSERT INTO alembic_version (version_num) VALUES ('0010');
