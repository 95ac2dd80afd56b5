SET client_min_messages = warning;
DROP SCHEMA IF EXISTS tally_import CASCADE;
CREATE SCHEMA tally_import;
CREATE VIEW tally_import.artworks_like AS
SELECT artwork_id, user_id, acted_at AS created_at FROM bench.behaviors WHERE kind = 'like';
CREATE VIEW tally_import.artworks_favorite AS
SELECT artwork_id, user_id, acted_at AS created_at FROM bench.behaviors WHERE kind = 'favorite';
