//! BagIt 1.0 (RFC 8493): the files of a bag as texts, and back.

use std::collections::BTreeMap;

use crate::model::{id::Sha256, time::Timestamp};

pub const DECLARATION: &str = "bagit.txt";
pub const INFO: &str = "bag-info.txt";
pub const MANIFEST: &str = "manifest-sha256.txt";
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
/// A signed note about the manifest.
pub const SIGNATURE: &str = "signature.txt";
/// Folder of the payload, with its slash.
pub const PAYLOAD: &str = "data/";

pub const DECLARED: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub bytes: u64,
    pub sha256: Sha256,
}

/// Files by their paths within the bag, with `/` between names.
pub type Sums = BTreeMap<String, Sum>;

/// The text of `bag-info.txt`.
#[must_use]
pub fn info(time: Timestamp, payload: &Sums) -> String {
    let bytes: u64 = payload.values().map(|sum| sum.bytes).sum();
    let day: String = time.to_string().chars().take(10).collect();
    format!(
        "Bag-Software-Agent: {}\nBagging-Date: {day}\nExternal-Description: Call records of Microsoft Teams with proofs, see {}\n\
         Payload-Oxum: {bytes}.{}\n",
        super::manifest::PROGRAM,
        super::name::REPORT,
        payload.len()
    )
}

/// The text of a manifest; `sha256sum -c` reads it.
#[must_use]
pub fn manifest(sums: &Sums) -> String {
    sums.iter().fold(String::new(), |text, (path, sum)| text + &format!("{}  {path}\n", sum.sha256))
}

/// The text of the signed note: that this is a package, and the hash of its manifest, which has those of all files.
#[must_use]
pub fn signed(manifest: &[u8]) -> String {
    format!("callvault package\n{}\n", Sha256::of(manifest))
}

/// Reads a manifest.
///
/// # Errors
/// A fragment that says what is wrong with it.
pub fn read_manifest(text: &str) -> Result<BTreeMap<String, Sha256>, String> {
    let mut sums = BTreeMap::new();
    for (n, line) in (1..).zip(text.split_inclusive('\n')) {
        let read = line.strip_suffix('\n').and_then(|line| line.split_once("  "));
        let read = read.and_then(|(hash, path)| Some((Sha256::parse(hash)?, path)));
        let (hash, path) = read.ok_or_else(|| format!("line {n} is no SHA-256 and path"))?;
        if sums.insert(path.to_owned(), hash).is_some() {
            return Err(format!("line {n} names {path} again"));
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_and_nothing_else_is_one() {
        let sum = |text: &str| Sum { bytes: text.len() as u64, sha256: Sha256::of(text.as_bytes()) };
        let sums: Sums =
            [("data/a b.txt", sum("a")), ("data/é/c", sum("bc"))].map(|(path, sum)| (path.into(), sum)).into();
        let text = manifest(&sums);
        let read = read_manifest(&text).unwrap();
        assert!(read.iter().eq(sums.iter().map(|(path, sum)| (path, &sum.sha256)).collect::<Vec<_>>()));
        assert!(info(Timestamp(0), &sums).contains("\nBagging-Date: 1970-01-01\n"));
        assert!(info(Timestamp(0), &sums).ends_with("\nPayload-Oxum: 3.2\n"));
        for bad in ["x", "\n", &text[..text.len() - 1], &text.to_uppercase(), &text.replace("  ", " "), &text.repeat(2)]
        {
            assert!(read_manifest(bad).is_err(), "{bad:?}");
        }
    }
}
