#!/usr/bin/env python3
"""Reads an archive by docs/format.md alone: every version of every record, out of frames and sealed months.

read_archive.py ARCHIVE        a line for each body: seq kind id version what sha256 bytes
read_archive.py ARCHIVE SEQ    the bodies of one version, each with a line feed

Needs Python's standard library and the command `zstd`. Each body is compared with its SHA-256, each version with its ledger entry.
"""

import base64, hashlib, json, os, sqlite3, subprocess, sys, tempfile, uuid

KINDS = [None, "call", "pstn", "direct-routing", "blocked-user", "dial-out", "sms", "person"]


def decompress(data, dictionary=None):
    command = ["zstd", "-dcq", "--long=27"]
    with tempfile.NamedTemporaryFile() as file:
        if dictionary:
            file.write(dictionary)
            file.flush()
            command += ["-D", file.name]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def of_frame(content):
    """Envelope line, line feed, body, line feed, for each body."""
    while content:
        envelope, content = content.split(b"\n", 1)
        length = json.loads(envelope)["bytes"]
        yield envelope, content[:length]
        content = content[length + 1 :]


def of_lines(content):
    """One JSON object a line: key, the members of the envelope, the body."""
    for line in content.split(b"\n")[:-1]:
        begin = line.index(b'"what":')
        end = line.index(b',"sha256":"') + len(b',"sha256":"') + 64 + 1
        name, value = line[end + 1 : -1].split(b":", 1)
        if name == b'"text"':
            value = json.loads(value).encode()
        elif name == b'"base64"':
            value = base64.b64decode(json.loads(value))
        yield b"{" + line[begin:end] + b"}", value


class Archive:
    def __init__(self, folder):
        self.folder, self.at, self.content = folder, None, b""
        self.db = sqlite3.connect(f"file:{folder}/archive.db?mode=ro", uri=True)
        self.dictionaries = dict(self.db.execute("SELECT dictionary_id, bytes FROM dictionary"))

    def sealed(self, month, n, frame_from, frame_bytes, lines_from, lines_bytes):
        if self.at != (month, n, frame_from):
            name = "parts.ndjson.zst" if n == 1 else f"parts-{n}.ndjson.zst"
            with open(os.path.join(self.folder, "sealed", month, name), "rb") as file:
                file.seek(frame_from)
                self.content = decompress(file.read(frame_bytes))
            self.at = (month, n, frame_from)
        return self.content[lines_from : lines_from + lines_bytes]

    def versions(self):
        rows = self.db.execute("""
            SELECT version.seq, entry, kind, id, version, dictionary_id, frame, month, n, frame_from, frame_bytes, lines_from, lines_bytes
            FROM version JOIN ledger USING (seq) JOIN record USING (record_id)
            LEFT JOIN sealed USING (seq) LEFT JOIN volume USING (volume_id) ORDER BY version.seq""")
        for seq, entry, kind, key, version, dictionary, frame, *place in rows:
            key = str(uuid.UUID(bytes=key)) if isinstance(key, bytes) else key
            if frame is not None:
                parts = list(of_frame(decompress(frame, self.dictionaries.get(dictionary))))
            else:
                parts = list(of_lines(self.sealed(*place)))
            entry, envelopes = json.loads(entry), hashlib.sha256()
            for envelope, body in parts:
                envelopes.update(envelope + b"\n")
                assert hashlib.sha256(body).hexdigest() == json.loads(envelope)["sha256"], f"a body of {seq} is not its hash"
            assert entry["parts"] == envelopes.hexdigest(), f"version {seq} is not what the ledger names"
            assert (entry["op"], entry["kind"], entry["id"], entry["version"]) == ("version", KINDS[kind], key, version)
            yield seq, KINDS[kind], key, version, parts


def main(folder, wanted=None):
    for seq, kind, key, version, parts in Archive(folder).versions():
        for envelope, body in parts:
            if wanted is None:
                envelope = json.loads(envelope)
                what = envelope["what"].replace(" ", "_")
                print(seq, kind, key, version, what, envelope["sha256"], len(body))
            elif int(wanted) == seq:
                sys.stdout.buffer.write(body + b"\n")


main(*sys.argv[1:])
