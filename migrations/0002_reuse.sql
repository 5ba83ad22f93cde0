-- A verdict may repeat what was found before on the same bytes by the same model: `reused_from` names that verdict.
ALTER TABLE verdicts ADD COLUMN reused_from uuid;

-- Finds it. Repetitions are left out: an image that goes round would fill the index with rows that nobody looks for.
-- A hash index keeps 4 bytes of each key, a B-tree would keep all 64.
CREATE INDEX verdicts_scored ON verdicts USING hash (image_sha256) WHERE reused_from IS NULL;
