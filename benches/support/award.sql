-- What one award writes, as one transaction: lock, last transaction, key, account, ledger. The rows of tally's batches.
\set user random(1, :accounts)
\set key random(1, 1000000000000000)
BEGIN;
SELECT sequence AS sequence, balance AS balance FROM point_accounts WHERE lane = (:user::int % 256)::smallint AND user_id = lpad(to_hex(:user::int), 32, '0')::uuid FOR NO KEY UPDATE \gset
SELECT * FROM point_transactions WHERE lane = (:user::int % 256)::smallint AND user_id = lpad(to_hex(:user::int), 32, '0')::uuid ORDER BY lane DESC, user_id DESC, sequence DESC LIMIT 1;
SELECT * FROM point_transactions WHERE lane = (:user::int % 256)::smallint AND user_id = lpad(to_hex(:user::int), 32, '0')::uuid AND idempotency_key = 'bench-' || :key::bigint;
UPDATE point_accounts SET version = version + 1, balance = balance + 1, sequence = sequence + 1, last_hash = decode(repeat('ab', 32), 'hex') WHERE lane = (:user::int % 256)::smallint AND user_id = lpad(to_hex(:user::int), 32, '0')::uuid;
INSERT INTO point_transactions (lane, user_id, sequence, id, amount, balance_after, overdraft_limit, kind, reason, actor_id, idempotency_key, input_hash, reverses_id, prev_hash, field_marks, hash, created_at) VALUES ((:user::int % 256)::smallint, lpad(to_hex(:user::int), 32, '0')::uuid, :sequence::bigint + 1, lpad(to_hex(:key::bigint), 32, '0')::uuid, 1, :balance::bigint + 1, 0, 0, 'for the benchmark', lpad('1', 32, '0')::uuid, 'bench-' || :key::bigint, decode(repeat('ab', 32), 'hex'), NULL, decode(repeat('ab', 32), 'hex'), decode(repeat('ab', 48), 'hex'), decode(repeat('ab', 32), 'hex'), 1763690000000);
END;
