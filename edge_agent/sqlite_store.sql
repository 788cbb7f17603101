-- One outbox file, which several devices of one host process may share.
-- `boot.no` orders the boots of a device; a message's identity is (device, boot, seq).

-- name: schema
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

-- name: exclusive
-- A second process is told so at once, and no shared memory file is needed.
PRAGMA locking_mode = EXCLUSIVE

-- name: write_ahead
PRAGMA journal_mode = WAL

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

-- name: put_boot
INSERT INTO boot (device, boot, birth) VALUES (:device, :boot, :birth) RETURNING no

-- name: forget_boots
-- Boots of a device that have nothing left to send, save the present one.
DELETE FROM boot
WHERE device = :device AND no <> :present
  AND NOT EXISTS (SELECT 1 FROM message WHERE boot_no = boot.no)

-- name: depth
SELECT count(*), coalesce(sum(length(payload)), 0)
FROM boot JOIN message ON boot_no = no WHERE device = :device

-- name: put_message
INSERT INTO message (boot_no, seq, kind, rank, frames, first_ms, last_ms, payload)
VALUES (:boot_no, :seq, :kind, :rank, :frames, :first_ms, :last_ms, :payload)

-- name: put_next_seq
UPDATE boot SET next_seq = :next_seq WHERE no = :boot_no

-- name: boots
SELECT no, boot FROM boot WHERE device = :device ORDER BY no

-- name: pending
SELECT seq, kind, payload FROM message
WHERE boot_no = :boot_no AND seq > :seq
ORDER BY seq
LIMIT :limit

-- name: settle
DELETE FROM message
WHERE boot_no = :boot_no AND seq BETWEEN :first AND :last
RETURNING frames, length(payload)

-- name: births
SELECT boot, birth FROM boot
WHERE device = :device
  AND (no = :present OR EXISTS (SELECT 1 FROM message WHERE boot_no = boot.no))
ORDER BY no

-- name: birth
SELECT birth FROM boot WHERE device = :device AND boot = :boot

-- name: candidates
-- What may be given up of one boot within one rank, the oldest first.
SELECT seq, frames, first_ms, last_ms, length(payload) FROM message
WHERE boot_no = :boot_no AND rank = :rank
ORDER BY seq

-- name: find
SELECT kind, rank, frames, first_ms, last_ms, payload FROM message
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
