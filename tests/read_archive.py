#!/usr/bin/env python3
"""Reads an archive by docs/format.md alone: every version of every record, out of frames and sealed months.

read_archive.py ARCHIVE        a line for each body: seq kind id version what sha256 bytes
read_archive.py ARCHIVE SEQ    the bodies of one version, each with a line feed

Each body is compared with its SHA-256, each version with its ledger entry. Needs the command `zstd`, and no module from elsewhere."""

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


def text(key):
    return str(uuid.UUID(bytes=key)) if isinstance(key, bytes) else key  # a GUID lies there as its 16 bytes


def of_frame(content):
    """Envelope line, line feed, body, line feed, for each body."""
    while content:
        envelope, rest = content.split(b"\n", 1)
        body = rest[: json.loads(envelope)["bytes"]]
        yield envelope, body
        content = rest[len(body) + 1 :]


def of_lines(content):
    """One JSON object a line: key, the members of the envelope, the body."""
    for line in content.split(b"\n")[:-1]:
        begin = line.index(b'"what":')
        end = line.index(b',"sha256":"') + 11 + 64 + 1
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
                self.content, self.at = decompress(file.read(frame_bytes)), (month, n, frame_from)
        return self.content[lines_from : lines_from + lines_bytes]

    def versions(self):
        rows = self.db.execute("""
            SELECT version.seq, entry, ledger.kind, ledger.id, ledger.version, ledger.parts,
                record.kind, record.id, version.version, dictionary_id, frame, month, n, frame_from, frame_bytes, lines_from, lines_bytes
            FROM version JOIN ledger ON ledger.seq = version.seq JOIN record USING (record_id)
            LEFT JOIN sealed ON sealed.seq = version.seq LEFT JOIN volume USING (volume_id) ORDER BY version.seq""")
        for row in rows:
            (seq, line, *columns), (kind, key, version, dictionary, frame), place = row[:6], row[6:11], row[11:]
            opened = of_frame(decompress(frame, self.dictionaries.get(dictionary))) if frame else of_lines(self.sealed(*place))
            parts, envelopes = list(opened), hashlib.sha256()
            for envelope, body in parts:
                digest, said = hashlib.sha256(body).hexdigest(), json.loads(envelope).get("sha256")
                assert said in (None, digest), f"a body of {seq} is not its hash"
                if said is None:
                    envelope = envelope[:-1] + f',"sha256":"{digest}"}}'.encode()
                envelopes.update(envelope + b"\n")
            if line:
                entered = [json.loads(line)[name] for name in ("kind", "id", "version", "parts")]
            else:
                entered = [KINDS[columns[0]], text(columns[1]), columns[2], columns[3].hex()]
            read = [KINDS[kind], text(key), version, envelopes.hexdigest()]
            assert entered == read, f"version {seq} is {read}, and the ledger has {entered}"
            yield seq, read[0], read[1], version, parts


def main(folder, wanted=None):
    for seq, kind, key, version, parts in Archive(folder).versions():
        for envelope, body in parts:
            if wanted is None:
                what, digest = json.loads(envelope)["what"].replace(" ", "_"), hashlib.sha256(body).hexdigest()
                print(seq, kind, key, version, what, digest, len(body))
            elif int(wanted) == seq:
                sys.stdout.buffer.write(body + b"\n")


main(*sys.argv[1:])
