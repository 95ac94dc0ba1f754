#!/usr/bin/env python3
"""Checks an audit package of callvault without callvault: check_package.py DIR [FILE with the key, had from elsewhere]

Every file is listed and has its SHA-256; the checkpoint is signed; every record and the answers it was made of have the hashes that its
ledger entry names; every entry is under the signed root. Needs Python 3.9, and for the signature the package `cryptography` or `openssl`."""
import base64, hashlib, json, os, subprocess, sys, tempfile

folder, own_key = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
faults = []
def check(holds, what):
    if not holds:
        faults.append(what)
def sha256(data):
    return hashlib.sha256(data).digest()
def read(path):
    with open(os.path.join(folder, path), "rb") as file:
        return file.read()

# 1. The bag (RFC 8493): what sha256sum -c checks, and that nothing else is there.
def listed(manifest):
    return {path: digest for digest, path in (line.split("  ", 1) for line in read(manifest).decode().splitlines())}
there = {os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names}
sums = {**listed("manifest-sha256.txt"), **listed("tagmanifest-sha256.txt")}
check(there == {*sums, "tagmanifest-sha256.txt"}, f"listed or there, not both: {there ^ {*sums, 'tagmanifest-sha256.txt'}}")
for path in there & set(sums):
    check(sha256(read(path)).hex() == sums[path], f"{path} has another SHA-256")

# 2. Signed notes (C2SP signed-note), Ed25519.
def is_signed(key, text, signature):
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        with tempfile.TemporaryDirectory() as place:
            key = bytes.fromhex("302a300506032b6570032100") + key
            for name, data in {"key": key, "text": text, "signature": signature}.items():
                open(os.path.join(place, name), "wb").write(data)
            command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in text -sigfile signature"
            return subprocess.run(command.split(), cwd=place, capture_output=True).returncode == 0
    try:
        return Ed25519PublicKey.from_public_bytes(key).verify(signature, text) is None
    except Exception:
        return False
def text_of(note, name, key):
    text, _, signatures = note.rpartition(b"\n\n")
    text, key_id = text + b"\n", sha256(name.encode() + b"\n\x01" + key)[:4]
    signatures = [line.split(" ")[1:] for line in signatures.decode().splitlines()]
    signatures = [base64.b64decode(signature) for signer, signature in signatures if signer == name]
    check(any(one[:4] == key_id and is_signed(key, text, one[4:]) for one in signatures), f"a note is not signed by {name}")
    return text.decode()
def key_of(text):
    name, _, key = text.strip().split("+", 2)
    return name, base64.b64decode(key)[1:]
name, key = key_of(read("data/key.txt").decode())
check(not own_key or key_of(open(own_key).read())[1] == key, "the package brings another key than yours")
origin, size, root = text_of(read("data/checkpoint.txt"), name, key).splitlines()[:3]
size, root = int(size), base64.b64decode(root)
if "signature.txt" in there:
    manifest = sha256(read("manifest-sha256.txt")).hex()
    check(text_of(read("signature.txt"), name, key) == f"callvault package\n{manifest}\n", "signature.txt is about another manifest")

# 3. Entries under the root (RFC 9162, 2.1.3.2), records and answers under their entries.
def climbed(leaf, index, path):
    node, last = sha256(b"\0" + leaf), size - 1
    for beside in path:
        if index & 1 or index == last:
            node = sha256(b"\1" + beside + node)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + beside)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None
envelopes = {}  # by ledger number, SHA-256 over the envelopes of the answers
for line in read("data/parts.ndjson").split(b"\n")[:-1] if "data/parts.ndjson" in there else []:
    begin, end = line.index(b'"what":'), line.index(b',"sha256":"') + 11 + 64 + 1
    member, body = line[end:end + 8], line[end + 8:-1]
    if member == b',"text":':
        body = json.loads(body).encode()
    elif member != b',"body":':
        body = base64.b64decode(line[end + 11:-2])
    check(sha256(body).hex() == line[end - 65:end - 1].decode(), f"an answer has another SHA-256: {line[:200]}")
    envelopes.setdefault(json.loads(line)["seq"], hashlib.sha256()).update(b"{" + line[begin:end] + b"}\n")
records, proofs = (read(f"data/{name}.ndjson").split(b"\n")[:-1] for name in ("records", "proofs"))
check(len(records) == len(proofs) == json.loads(read("data/manifest.json"))["contents"]["versions"], "records are missing or too many")
for record, proof in zip(records, map(json.loads, proofs)):
    seq, entry = proof["seq"], json.loads(proof["entry"])
    which = f"{entry['kind']} {entry['id']} version {entry['version']}, ledger entry {seq}"
    check(climbed(proof["entry"].encode(), seq - 1, map(bytes.fromhex, proof["path"])) == root, f"{which}: is not under the root")
    if "data/parts.ndjson" in there:
        check(sha256(record).hex() == entry["json"], f"{which}: the record is another one")
        check(seq in envelopes and envelopes[seq].hexdigest() == entry["parts"], f"{which}: the answers are others")
for other in map(json.loads, read("data/ledger.ndjson").splitlines()):
    is_under = climbed(other["entry"].encode(), other["seq"] - 1, map(bytes.fromhex, other["path"])) == root
    check(is_under, f"ledger entry {other['seq']}: is not under the root")
print(*faults, f"{'FAULTS' if faults else 'whole'}: {len(records)} records, {len(there)} files; ledger {origin}, {size} entries", sep="\n")
sys.exit(6 if faults else 0)
