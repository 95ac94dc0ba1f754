//! What is committed: versions made ready off the writer's thread.

use crate::{
    archive::{
        error::{Error, Result},
        frame::{Frame, FrameWriter},
    },
    model::{
        derive,
        document::Document,
        id::{RecordId, RecordKey, Seq, Sha256, Version},
        rows::Derived,
        time::Timestamp,
    },
};

/// A version ready to be stored: compressed, hashed, its rows derived. All the work that needs no database is done.
#[derive(Debug)]
pub struct Prepared {
    pub key: RecordKey,
    pub version: Version,
    pub frame: Frame,
    /// Over the assembled document.
    pub json_sha256: Sha256,
    pub derived: Derived,
    /// When the to-do list had it due that it was fetched for: another time there by now, and it was announced again meanwhile.
    pub due: Option<Timestamp>,
}

impl Prepared {
    /// Assembles, hashes, derives and compresses a document.
    ///
    /// # Errors
    /// [`Error::Unfit`] when its bodies do not make up a document.
    pub fn new(document: &Document, frames: &mut FrameWriter) -> Result<Self> {
        let mut json = frames.take_text();
        document.assemble_into(&mut json).map_err(|source| Error::Unfit { key: document.key.clone(), source })?;
        let prepared = Self {
            key: document.key.clone(),
            version: document.version,
            frame: frames.write(&document.parts)?,
            json_sha256: Sha256::of(json.as_bytes()),
            derived: derive::derive(document, &json),
            due: None,
        };
        frames.put_text_back(json);
        Ok(prepared)
    }
}

/// What became of a prepared version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Stored as ledger entry `seq`; `newest` when it is now its record's highest version, `first` when there was none before.
    Stored { record_id: RecordId, seq: Seq, version: Version, newest: bool, first: bool },
    /// That version was there already, with the same bytes or others: the first is kept.
    Known { same_bytes: bool },
}
