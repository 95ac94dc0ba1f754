//! A draft of what a records' custodian may certify. It states what the package shows and leaves to the person what only a person can say.

use crate::package::{coverage::Statement, manifest::Manifest};

/// The text of `data/certificate.txt`.
#[must_use]
pub fn text(manifest: &Manifest, coverage: &Statement) -> String {
    let Manifest { time, origin, size, root, contents, .. } = manifest;
    let kinds: Vec<String> = contents.kinds.iter().map(|(kind, of)| format!("{} of kind {kind}", of.records)).collect();
    let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let covered = if coverage.is_whole() {
        "The archive's coverage statement (data/coverage.json) shows no time in it that is missing."
    } else {
        "The archive's coverage statement (data/coverage.json) names times in it of which records may be missing, and why."
    };
    let not_kept = if coverage.not_kept.is_empty() {
        String::new()
    } else {
        format!("\n   Of these logs the archive keeps nothing: {}.", coverage.not_kept.join(", "))
    };
    let left_out = if manifest.left_out.is_empty() {
        "The package shows the records whole, with the answers of Microsoft Graph as they were received.".to_owned()
    } else {
        format!("The package does not show all of the records. It leaves out:\n   {}", manifest.left_out.join("\n   "))
    };
    format!(
        "DRAFT - not legal advice. To be read, completed and corrected by the person who signs it, with counsel.
It follows what Rules 902(11) and 902(13) of the U.S. Federal Rules of Evidence ask for; other
courts ask for other words.

CERTIFICATE OF A CUSTODIAN OF RECORDS

I, ____________________________________, declare:

1. I am employed by ____________________________________ as ____________________________________.
   I am a custodian of its records, or otherwise qualified to make this statement, and I know how
   they are made and kept.

2. The organisation keeps records of its calls and meetings in Microsoft Teams. Microsoft's service
   makes each of them at or near the time of the call, by an automated process. The program callvault
   fetches them from Microsoft Graph and archives them unaltered. Making and keeping these records is
   a regular practice of the organisation's business: ________________________________________________

3. The package that goes with this certificate was made by {program} for the user '{user}'.
   It shows the archive as of {time} and holds {records} records in {versions} versions
   ({kinds}),
   found by the question in data/manifest.json.
   The period asked for: {period}.
   {covered}{not_kept}

4. {left_out}

5. Each stored version is an entry in a ledger to which the program only adds. The ledger is a hash
   tree (SHA-256); its state is signed (Ed25519). For each version, the package has a proof that its
   entry is in the ledger called
      {origin}
   of {size} entries, with the root hash (hexadecimal)
      {root}
   Such a process gives an accurate result: a change to any record, however small, changes its hash,
   and then the proof does not hold. Anybody can check this as docs/auditing.md of the program says.

6. The SHA-256 of the file manifest-sha256.txt of the package that I hand over is (to be written in):
      ____________________________________________________________________________

7. I checked the package on ____________________ with ______________________________________________
   and found: _____________________________________________________________________________________

I declare under penalty of perjury that the foregoing is true and correct.

Date: ______________________   Place: ______________________

Signature: ________________________________________

Name and title: ________________________________________
",
        program = manifest.program,
        user = manifest.user,
        records = contents.records,
        versions = contents.versions,
        period = coverage.period(),
        time = time.to_seconds_text(),
    )
}
