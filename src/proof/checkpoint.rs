//! Checkpoints (C2SP `tlog-checkpoint`): a signed note that says of which log, how many entries, and the root over them.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::proof::{
    Hash,
    note::{self, Error, Note, PrivateKey},
};

/// How far a log went, and the root over its entries up to there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Entries.
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// Signs it.
    #[must_use]
    pub fn sign(&self, keys: &[&PrivateKey]) -> String {
        note::sign(&format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root)), keys)
    }

    /// Reads what a note says. Whether it is to be believed, its signatures tell.
    ///
    /// # Errors
    /// [`Error::Note`].
    pub fn of_note(note: &Note<'_>) -> Result<Self, Error> {
        let mut lines = note.text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(Error::Note("it has not the three lines of a checkpoint"));
        };
        let read = size.parse().ok().filter(|read: &u64| read.to_string() == size);
        let hash = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        match (read, hash) {
            (Some(size), Some(root)) if !origin.is_empty() => Ok(Self { origin: origin.to_owned(), size, root }),
            _ => Err(Error::Note("it has not the three lines of a checkpoint: name, entries, root")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_read_back() {
        let key = PrivateKey::generate("callvault/x").unwrap();
        let checkpoint = Checkpoint { origin: "callvault/x".into(), size: 12_345, root: [7; 32] };
        let note = checkpoint.sign(&[&key]);
        let read = Note::parse(&note).unwrap();
        assert!(read.is_signed_by(&key.public()));
        assert_eq!(Checkpoint::of_note(&read).unwrap(), checkpoint);
        assert_eq!(
            note.lines().take(3).collect::<Vec<_>>(),
            ["callvault/x", "12345", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="]
        );
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let key = PrivateKey::generate("a").unwrap();
        let root = STANDARD.encode([1; 32]);
        for text in [
            "a\n1\n".to_owned(),
            format!("a\n01\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\nx\n{root}\n"),
            format!("\n1\n{root}\n"),
            "a\n1\nAAAA\n".to_owned(),
        ] {
            let note = note::sign(&text, &[&key]);
            assert!(Checkpoint::of_note(&Note::parse(&note).unwrap()).is_err(), "{text:?}");
        }
    }
}
