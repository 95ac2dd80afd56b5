CREATE TABLE artworks (
    id BIGINT, user_id VARCHAR(40), title VARCHAR(200), created_at {time}, like_count BIGINT, favorite_count BIGINT,
    comment_count BIGINT, share_count BIGINT, view_count BIGINT, hot_score {float}, hot_level VARCHAR(20),
    last_hot_update {time}
);
CREATE TABLE artworks_like (artwork_id BIGINT, user_id VARCHAR(40), created_at {time});
CREATE TABLE artworks_favorite (artwork_id BIGINT, user_id VARCHAR(40), created {time});
CREATE TABLE user_behaviors (
    user_id VARCHAR(40), video_id VARCHAR(40), behavior_type VARCHAR(20), behavior_time {time}
);
INSERT INTO artworks VALUES
    (1, 'ann', 'All is well', '2026-01-01 00:00:00', 2, 1, 3, 2, 100, 12.5, 'WARM', '2026-01-06 00:00:00'),
    (2, 'ann', 'Five likes, says the counter', '2026-01-01 00:00:00', 5, 0, 0, 0, 0, 1.5, 'COLD', '2026-01-06 00:00:00'),
    (3, 'ben', 'No score', '2026-01-01 00:00:00', 0, 0, 0, 0, 0, NULL, 'COLD', '2026-01-06 00:00:00'),
    (4, 'ben', 'Stale', '2026-01-01 00:00:00', 1, 0, 0, 0, 0, 2.5, 'COLD', '2026-01-02 00:00:00'),
    (5, 'ben', 'Twice a favorite', '2026-01-01 00:00:00', 0, 3, 0, 0, 7, 2.5, 'COLD', '2026-01-06 00:00:00'),
    (6, NULL, 'A counter of nothing', NULL, NULL, 0, 0, 0, 0, 2.5, 'COLD', '2026-01-06 00:00:00');
INSERT INTO artworks_like VALUES
    (1, 'ann', '2026-01-05 10:00:00'),
    (1, 'ben', '2026-01-05 11:00:00'),
    (1, 'ann', '2026-01-05 12:00:00'),
    (2, 'ann', '2026-01-05 10:00:00'),
    (4, 'cas', '2026-01-05 10:00:00'),
    (99, 'ann', '2026-01-05 10:00:00'),
    (NULL, 'ann', '2026-01-05 10:00:00'),
    (2, NULL, '2026-01-05 10:00:00');
INSERT INTO artworks_favorite VALUES
    (1, 'ann', '2026-01-05 10:00:00'),
    (5, 'ann', '2026-01-03 10:00:00'),
    (5, 'ann', '2026-01-04 10:00:00'),
    (5, 'ben', '2026-01-04 10:00:00');
INSERT INTO user_behaviors VALUES
    ('ann', 'v1', 'like', '2026-01-05 10:00:00'),
    ('ann', 'v1', 'like', '2026-01-05 10:00:00'),
    ('ann', 'v1', 'like', '2026-01-05 10:00:05'),
    ('ann', 'v1', 'view', '2026-01-05 09:00:00'),
    ('ben', 'v1', 'view', '2026-01-05 11:00:00'),
    ('ben', 'v1', 'favorite', '2026-01-05 11:00:00'),
    ('cas', 'v2', 'share', '2026-01-05 11:00:00'),
    ('cas', 'v2', 'dance', '2026-01-05 11:00:00'),
    (NULL, 'v2', 'like', '2026-01-05 11:00:00'),
    ('dan', 'v2', 'like', NULL),
    ('eva', 'v2', 'like', '2999-01-01 00:00:00');
