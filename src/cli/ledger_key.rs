//! The key that signs the ledger: a file outside the archive, so that who can write the one cannot pass for the other.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    archive::{self, ArchiveWriter, signing::Signing},
    cli::{
        Context,
        exit::{Failure, Result},
        usage, whole,
    },
    model::time::Timestamp,
    proof::note::{PrivateKey, PublicKey},
};

/// What the key is called in its file. Signatures carry the name of the log.
const NAME: &str = "callvault";

/// Has `writer` sign; its key is made where there is none and nobody signs the ledger yet. Where that is not possible nothing is kept out for
/// it: what is wrong is told at the command's end ([`Signing::trouble`]).
pub(super) fn signed(context: &Context, writer: &mut ArchiveWriter, now: Timestamp) -> archive::Result<Signing> {
    let signing = match writer.ledger_key() {
        // Another key is not made for it, and the writer says what is wrong.
        Err(error) if error.is_damage() => writer.sign_with(None, now)?,
        known => match at_hand(context, known?.map(|ledger| ledger.key).as_ref()) {
            Ok(key) => writer.sign_with(key.as_ref(), now)?,
            Err(failure) => Signing::Unusable(failure.message),
        },
    };
    writer.keep_journal(context.config.keeps_journal(), now)?;
    Ok(signing)
}

/// The key of a command that writes, where the ledger is signed by `known`; `None` where there is none and one is needed, or none can be
/// made.
pub(super) fn at_hand(context: &Context, known: Option<&PublicKey>) -> Result<Option<PrivateKey>> {
    let Some(path) = context.config.ledger_key() else {
        context.note(
            "the ledger is not signed: there is no place for its key; name one as [ledger] key in the config file",
        );
        return Ok(None);
    };
    // A change of keys that was cut short after the archive knew of it.
    if let Some(new) = read(&next_to(&path))?
        && known.is_some_and(|known| known.is_same_key(&new.public()))
    {
        put_in_place(&path)?;
        return Ok(Some(new));
    }
    if let Some(key) = read(&path)? {
        return Ok(Some(key));
    }
    if known.is_some() {
        // The writer says what that means.
        return Ok(None);
    }
    match make(&path) {
        Ok(key) => {
            let path = path.display();
            context.note(&format!(
                "made {path}, the key that signs the ledger; keep a copy where nobody has the archive too"
            ));
            Ok(Some(key))
        }
        Err(failure) => {
            context.note(&format!("the ledger is not signed: {}", failure.message));
            Ok(None)
        }
    }
}

/// What to say where nobody signs the ledger.
pub(super) fn unsigned() -> Failure {
    usage("nobody signs this ledger yet").hint("the next `callvault sync` begins to")
}

/// Reads a key; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<PrivateKey>> {
    let trouble = |what: String| usage(format!("the ledger's key {}: {what}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble(error.to_string())),
    };
    let mode = fs::metadata(path).map_err(|error| trouble(error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        return Err(trouble("others can read it".into()).hint(format!("chmod 600 {}", path.display())));
    }
    PrivateKey::parse(&text).map(Some).map_err(|error| trouble(error.to_string()))
}

/// Makes a key in a file that is not there yet.
pub(super) fn make(path: &Path) -> Result<PrivateKey> {
    let trouble = |what: String| usage(format!("the key {} cannot be made: {what}", path.display()));
    let key = PrivateKey::generate(NAME).map_err(|error| trouble(error.to_string()))?;
    let text = Zeroizing::new(format!("{}\n", *key.to_text()));
    let made =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| whole::write(path, text.as_bytes(), false));
    made.map_err(|error| trouble(error.to_string()))?;
    Ok(key)
}

/// The place of a key that is to replace the one at `path`, until it has.
pub(super) fn next_to(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Puts the new key in the place of the former, which is kept beside it.
pub(super) fn put_in_place(path: &Path) -> Result<()> {
    let trouble = |error: io::Error| Failure::from(error);
    let mut former = path.as_os_str().to_owned();
    former.push(".former");
    if path.exists() {
        fs::rename(path, &former).map_err(trouble)?;
    }
    fs::rename(next_to(path), path).map_err(trouble)
}
