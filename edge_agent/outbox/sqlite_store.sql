-- One outbox file, which several devices of one host process may share.
-- `boot.no` orders the boots of a device; a message's identity is (device, boot, seq).

-- name: version_1
BEGIN;
CREATE TABLE boot (
    no       INTEGER PRIMARY KEY AUTOINCREMENT,
    device   TEXT NOT NULL,
    boot     TEXT NOT NULL,
    birth    BLOB NOT NULL,              -- final bytes, said again before its messages
    next_seq INTEGER NOT NULL DEFAULT 0,
    UNIQUE (device, boot)
) STRICT;
CREATE TABLE message (
    boot_no  INTEGER NOT NULL REFERENCES boot (no),
    seq      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    rank     INTEGER NOT NULL,
    frames   INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    payload  BLOB NOT NULL,              -- final bytes: a resend is identical
    PRIMARY KEY (boot_no, seq)
) STRICT;
CREATE TABLE dead_letter (
    id       INTEGER PRIMARY KEY,
    device   TEXT NOT NULL,
    boot     TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    payload  BLOB NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
COMMIT;

-- name: version_2
-- What was read before the clock could be trusted counts from the machine's start, and is held.
BEGIN;
ALTER TABLE message ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boot ADD COLUMN machine TEXT NOT NULL DEFAULT '';   -- whose start it counts from
ALTER TABLE boot ADD COLUMN mono_ms INTEGER NOT NULL DEFAULT 0; -- from there to the boot
PRAGMA user_version = 2;
COMMIT;

-- name: version_3
-- What the agent must remember beside its messages: commands it took, settings it was given.
BEGIN;
CREATE TABLE note (
    device TEXT NOT NULL,
    name   TEXT NOT NULL,
    value  BLOB NOT NULL,
    PRIMARY KEY (device, name)
) STRICT;
PRAGMA user_version = 3;
COMMIT;

-- name: exclusive
-- A second process is told so at once, and no shared memory file is needed.
PRAGMA locking_mode = EXCLUSIVE

-- name: write_ahead
PRAGMA journal_mode = WAL

-- name: short_log
-- Pages, 1 MiB in all: what the log holds must fit where the ballast was.
PRAGMA wal_autocheckpoint = 256

-- name: durable
-- Each commit waits for the disk.
PRAGMA synchronous = FULL

-- name: hasty
-- A commit is whole after a crash of the process, but may be undone by a power cut.
PRAGMA synchronous = NORMAL

-- name: begin
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: check
PRAGMA quick_check(1)

-- name: version
PRAGMA user_version

-- name: pages
PRAGMA page_count

-- name: page_size
PRAGMA page_size

-- name: free_pages
PRAGMA freelist_count

-- name: limit
PRAGMA max_page_count

-- name: fold_after
-- So many pages of the log, and they go to the file; a value is put behind it.
PRAGMA wal_autocheckpoint

-- name: fold
-- The log's pages go to the file, and the log is written from its beginning again.
PRAGMA wal_checkpoint(RESTART)

-- name: put_boot
-- A number is given where a file is begun afresh, so that what is in flight keeps its key.
INSERT INTO boot (no, device, boot, birth, next_seq, machine, mono_ms)
VALUES (:no, :device, :boot, :birth, :next_seq, :machine, :mono_ms) RETURNING no

-- name: forget_boots
-- Boots of a device that have nothing left to send, save the present one.
DELETE FROM boot
WHERE device = :device AND no <> :present
  AND NOT EXISTS (SELECT 1 FROM message WHERE boot_no = boot.no)

-- name: depth
SELECT count(*), coalesce(sum(length(payload)), 0)
FROM boot JOIN message ON boot_no = no WHERE device = :device

-- name: put_message
INSERT INTO message (boot_no, seq, kind, rank, frames, first_ms, last_ms, payload, held)
VALUES (:boot_no, :seq, :kind, :rank, :frames, :first_ms, :last_ms, :payload, :held)

-- name: put_next_seq
UPDATE boot SET next_seq = :next_seq WHERE no = :boot_no

-- name: boots
SELECT no, boot, next_seq FROM boot WHERE device = :device ORDER BY no

-- name: pending
SELECT seq, kind, payload FROM message
WHERE boot_no = :boot_no AND seq > :seq
ORDER BY seq
LIMIT :limit

-- name: one
SELECT kind, payload FROM message WHERE boot_no = :boot_no AND seq = :seq

-- name: settle
DELETE FROM message
WHERE boot_no = :boot_no AND seq BETWEEN :first AND :last
RETURNING frames, length(payload)

-- name: births
SELECT boot, birth FROM boot
WHERE device = :device
  AND (no = :present OR EXISTS (SELECT 1 FROM message WHERE boot_no = boot.no))
ORDER BY no

-- name: notes
SELECT name, value FROM note WHERE device = :device

-- name: put_note
INSERT INTO note (device, name, value) VALUES (:device, :name, :value)
ON CONFLICT (device, name) DO UPDATE SET value = excluded.value

-- name: forget_note
DELETE FROM note WHERE device = :device AND name = :name

-- name: candidates
-- What may be given up of one boot within one rank, the oldest first.
SELECT seq, frames, first_ms, last_ms, length(payload), held FROM message
WHERE boot_no = :boot_no AND rank = :rank
ORDER BY seq

-- name: oldest
-- What may be given up of one boot, whatever its rank but the dearest, the oldest first.
SELECT seq, frames, first_ms, last_ms, length(payload), held FROM message
WHERE boot_no = :boot_no AND rank < :dearest
ORDER BY seq

-- name: held_boots
-- Boots of a device without a date, oldest first, and how far each one's messages reach.
SELECT no, boot.boot, birth, machine, mono_ms, coalesce(max(last_ms), mono_ms)
FROM boot LEFT JOIN message ON boot_no = no AND held = 1
WHERE device = :device AND machine <> ''
GROUP BY no ORDER BY no

-- name: held
SELECT seq, kind, first_ms, last_ms, payload FROM message
WHERE boot_no = :boot_no AND held = 1 ORDER BY seq LIMIT :limit

-- name: date
UPDATE message SET payload = :payload, first_ms = :first_ms, last_ms = :last_ms, held = 0
WHERE boot_no = :boot_no AND seq = :seq

-- name: put_birth
UPDATE boot SET birth = :birth, machine = '' WHERE no = :no

-- name: find
SELECT kind, rank, frames, first_ms, last_ms, payload, held FROM message
WHERE boot_no = :boot_no AND seq = :seq

-- name: remove
DELETE FROM message WHERE boot_no = :boot_no AND seq = :seq

-- name: put_dead_letter
INSERT INTO dead_letter (device, boot, seq, kind, payload, reason)
VALUES (:device, :boot, :seq, :kind, :payload, :reason)

-- name: trim_dead_letters
-- Only the newest are kept: a flood of refusals must not fill the disk.
DELETE FROM dead_letter
WHERE device = :device AND id <= (
    SELECT id FROM dead_letter WHERE device = :device ORDER BY id DESC LIMIT 1 OFFSET :most)
