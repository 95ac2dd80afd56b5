-- What one like writes, as one transaction: lock, behavior, figures, heat. The same rows as tally's batches write.
\set content random(1, :contents)
\set user random(1, :users)
BEGIN;
SELECT version, like_count, heat FROM content_figures WHERE lane = (:content::int % 256)::smallint AND content_id = lpad(to_hex(:content::int), 32, '0')::uuid FOR NO KEY UPDATE;
INSERT INTO behaviors (lane, content_id, user_id, kind, acted_at, removed_at) VALUES ((:content::int % 256)::smallint, lpad(to_hex(:content::int), 32, '0')::uuid, lpad(to_hex(:user::int), 32, '0')::uuid, 0, 1763690000000, NULL) ON CONFLICT (lane, content_id, user_id, kind) DO NOTHING;
UPDATE content_figures SET version = version + 1, like_count = like_count + 1, heat = heat + 100000, last_hot_update = 1763690000000 WHERE lane = (:content::int % 256)::smallint AND content_id = lpad(to_hex(:content::int), 32, '0')::uuid;
INSERT INTO content_heat (lane, content_id, epoch, mass) VALUES ((:content::int % 256)::smallint, lpad(to_hex(:content::int), 32, '0')::uuid, 858, 1000) ON CONFLICT (lane, content_id, epoch) DO UPDATE SET mass = content_heat.mass + excluded.mass;
END;
