BEGIN TRANSACTION;
CREATE TABLE drifts (
        number INTEGER PRIMARY KEY, object TEXT NOT NULL, reason TEXT NOT NULL, fields TEXT NOT NULL,
        first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, first_pass TEXT, last_pass TEXT,
        ended TEXT, how TEXT, git_commit TEXT, dirty INTEGER NOT NULL
    , began INTEGER NOT NULL DEFAULT 0, standing TEXT, stands_since TEXT, stands_began INTEGER NOT NULL DEFAULT 0);
INSERT INTO "drifts" VALUES(1,'host/esxiz10','differs from its manifest','["service"]','2026-11-23T12:01:00.000Z','2026-11-23T12:01:01.500Z','pass-1','pass-1',NULL,NULL,'4f2c1ab04f2c1ab04f2c1ab04f2c1ab04f2c1ab0',1,1,'drifted','2026-11-23T12:01:00.000Z',1);
CREATE TABLE events (
        number INTEGER PRIMARY KEY, at TEXT NOT NULL, pass TEXT, event TEXT NOT NULL, object TEXT,
        message TEXT NOT NULL, change TEXT, git_commit TEXT, dirty INTEGER NOT NULL
    );
INSERT INTO "events" VALUES(1,'2026-11-23T12:01:00.000Z','pass-1','drifted','host/esxiz10','differs from its manifest','{"object": "host/esxiz10", "op": "update", "risk": "safe", "reason": "differs from its manifest", "fields": [{"path": "service", "before": "stopped", "after": "running"}], "notes": [], "held": [], "rights": [], "claim": null}','4f2c1ab04f2c1ab04f2c1ab04f2c1ab04f2c1ab0',1);
CREATE TABLE passes (
        id TEXT PRIMARY KEY, "trigger" TEXT NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL,
        git_commit TEXT, dirty INTEGER NOT NULL, failure TEXT NOT NULL, told INTEGER NOT NULL, written INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "passes" VALUES('pass-1','resync','2026-11-23T12:01:00.000Z','2026-11-23T12:01:01.500Z','4f2c1ab04f2c1ab04f2c1ab04f2c1ab04f2c1ab0',1,'',0,0);
CREATE TABLE quarters (
        at INTEGER PRIMARY KEY, drifts INTEGER NOT NULL DEFAULT 0, healed INTEGER NOT NULL DEFAULT 0,
        applied INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
        passes INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0
    );
INSERT INTO "quarters" VALUES(1795435200,1,0,0,0,1,1.50001198053359985351e+00);
CREATE INDEX passes_started ON passes (started);
CREATE INDEX events_object ON events (object);
CREATE INDEX drifts_object ON drifts (object);
CREATE UNIQUE INDEX drifts_open ON drifts (object) WHERE ended IS NULL;
CREATE INDEX drifts_ended ON drifts (ended);
COMMIT;
PRAGMA user_version = 3;
