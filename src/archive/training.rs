//! A dictionary of the archive's own: trained on scrubbed records when there are enough new ones, taken when it pays.
//!
//! Frames that are stored keep the dictionary that they were made with; a new one is for new frames.

use rusqlite::{Connection, params};

use crate::{
    archive::{
        error::{Error, Result},
        frame::{Dictionary, FrameReader, FrameWriter},
        ledger, schema, versions,
    },
    model::{
        id::{Seq, Sha256},
        scrub,
        time::Timestamp,
    },
};

/// Calls that are looked at, of the newest so many: three of four are learnt from, the fourth is what a dictionary is tried on.
const SAMPLES: usize = 1024;
const AMONG: usize = 4 * SAMPLES;
/// Larger ones have enough in themselves to refer to.
const FRAME_BYTES_MAX: usize = 8 * 1024;
/// Ledger entries until it is tried for the first time; then as many again as there were, up to the second number.
const FIRST: i64 = 5_000;
const AT_MOST: i64 = 200_000;
/// The largest that helps; docs/decisions/0010-bytes-on-disk.md.
const DICTIONARY_BYTES: usize = 112 * 1024;
/// It has to make frames smaller by one in so many.
const PAYS: usize = 50;
/// The setting that says at which entry a dictionary was tried last.
const TRIED: &str = "dictionary_tried_seq";

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Of the calls it was tried on, with the dictionary in use and with the new one.
    pub bytes_before: usize,
    pub bytes_after: usize,
    /// Whether new frames use the new one.
    pub taken: bool,
}

/// Tries a new dictionary if it is time to; `None` if it is not, or there is too little to learn from.
pub(crate) fn train(connection: &Connection, now: Timestamp) -> Result<Option<Trial>> {
    let head = ledger::head(connection)?;
    let tried = schema::setting(connection, TRIED)?.unwrap_or(0);
    if head.0 < tried + tried.clamp(FIRST, AT_MOST) {
        return Ok(None);
    }
    let contents = samples(connection)?;
    schema::set(connection, TRIED, head.0)?;
    if contents.len() < SAMPLES {
        return Ok(None);
    }
    let (learnt_from, tried_on) = apart(contents);
    let Ok(bytes) = learnt(learnt_from) else { return Ok(None) };
    let Some(dictionary) = named(connection, bytes)? else { return Ok(None) };
    let current = versions::current_dictionary(connection)?;
    let bytes_before = compressed(current.as_ref(), &tried_on)?;
    let bytes_after = compressed(Some(&dictionary), &tried_on)?;
    let taken = bytes_after + bytes_after / PAYS <= bytes_before;
    if taken {
        add(connection, &dictionary, now)?;
    }
    Ok(Some(Trial { bytes_before, bytes_after, taken }))
}

/// Adds a dictionary; the newest is what new frames use.
pub(crate) fn add(connection: &Connection, dictionary: &Dictionary, now: Timestamp) -> Result<()> {
    connection.execute(
        "INSERT INTO dictionary (dictionary_id, bytes, sha256, added_ns) VALUES (?1, ?2, ?3, ?4)",
        params![dictionary.id, dictionary.bytes, Sha256::of(&dictionary.bytes).0, now.0],
    )?;
    Ok(())
}

/// What frames of calls hold, uncompressed, spread over the newest. A damaged one is `verify`'s to find.
fn samples(connection: &Connection) -> Result<Vec<Vec<u8>>> {
    let mut statement = connection.prepare(
        "SELECT version.seq FROM version JOIN record USING (record_id)
         WHERE kind = 1 AND length(frame) BETWEEN 1 AND ?1 ORDER BY version.seq DESC LIMIT ?2",
    )?;
    let limits = params![i64::try_from(FRAME_BYTES_MAX).unwrap_or(i64::MAX), i64::try_from(AMONG).unwrap_or(i64::MAX)];
    let seqs = statement.query_map(limits, |row| row.get(0).map(Seq))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut contents = Vec::with_capacity(SAMPLES);
    let mut reader: Option<(Option<i64>, FrameReader)> = None;
    let step = (seqs.len() / SAMPLES).max(1);
    for seq in seqs.into_iter().step_by(step).take(SAMPLES) {
        let (frame, id): (Vec<u8>, Option<i64>) = connection
            .prepare_cached("SELECT frame, dictionary_id FROM version WHERE seq = ?1")?
            .query_row([seq.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if reader.as_ref().is_none_or(|(of, _)| *of != id) {
            let dictionary = match id {
                Some(id) => versions::dictionary(connection, id)?.ok(),
                None => None,
            };
            reader = Some((id, FrameReader::new(dictionary.as_ref())?));
        }
        contents.extend(reader.as_mut().and_then(|(_, reader)| reader.content(&frame).ok().map(<[u8]>::to_vec)));
    }
    Ok(contents)
}

fn apart(contents: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut learnt_from, mut tried_on) = (Vec::new(), Vec::new());
    for (n, content) in contents.into_iter().enumerate() {
        if n % 4 == 3 { tried_on.push(content) } else { learnt_from.push(content) }
    }
    (learnt_from, tried_on)
}

/// What a dictionary of `contents` has in it. Of so many samples no more than two copies are there at a time.
fn learnt(contents: Vec<Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let scrubbed = scrub::scrubbed(&contents);
    drop(contents);
    let sizes: Vec<usize> = scrubbed.iter().map(Vec::len).collect();
    let samples = scrubbed.concat();
    drop(scrubbed);
    zstd::dict::from_continuous(&samples, &sizes, DICTIONARY_BYTES)
}

/// The dictionary under an id of its own: of those free for all, one that takes two bytes in every frame and not four.
fn named(connection: &Connection, mut bytes: Vec<u8>) -> Result<Option<Dictionary>> {
    let first = u16::from_le_bytes([Sha256::of(&bytes).0[0], Sha256::of(&bytes).0[1]]);
    for n in 0..=u16::MAX {
        let id = u32::from(first.wrapping_add(n) | 0x8000);
        if !versions::has_dictionary(connection, i64::from(id))? {
            let Some(place) = bytes.get_mut(4..8) else { return Ok(None) };
            place.copy_from_slice(&id.to_le_bytes());
            return Ok(Dictionary::new(bytes));
        }
    }
    Ok(None)
}

fn compressed(dictionary: Option<&Dictionary>, contents: &[Vec<u8>]) -> Result<usize> {
    let mut writer = FrameWriter::new(dictionary)?;
    contents.iter().try_fold(0, |sum, content| Ok::<_, Error>(sum + writer.compressed(content)?.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::{ArchiveWriter, Folder, batch::Prepared, versions::VersionReader},
        model::{
            document::{Document, Part, What},
            id::{RecordKey, Version},
        },
    };

    /// Calls of an organisation whose programs write a long member that the dictionary of the first day does not know.
    fn documents(count: usize) -> impl Iterator<Item = Document> {
        (0..count).map(|n| {
            let (caller, callee) = (n % 50, (n * 7 + 3) % 50);
            let person = |n: usize| format!("{{\"displayName\":\"Person Number{n}\",\"userPrincipalName\":\"person{n}@contoso.com\",\"headset\":\"{n}{n}{n}{n}\"}}");
            let body = format!(
                "{{\"id\":\"{n:08}-0000-4000-8000-000000000000\",\"version\":1,\"aMemberThatNobodyHasHeardOfBefore\":null,\"anotherOne\":[true,false,{n}],\
                 \"captureDeviceName\":\"Contoso Headset Model Nine\",\"renderDeviceName\":\"Headset of {caller}\",\"sessions\":[{},{}]}}",
                person(caller),
                person(callee)
            );
            let url = format!("https://graph.microsoft.com/v1.0/communications/callRecords/{n:08}-0000-4000-8000-000000000000");
            let parts = vec![Part::new(What::Record, url, None, Timestamp(0), body.into())];
            Document { key: RecordKey::call(format!("{n:08}-0000-4000-8000-000000000000")), version: Version(1), parts }
        })
    }

    fn keep(writer: &mut ArchiveWriter, documents: impl Iterator<Item = Document>) -> Vec<Option<i64>> {
        let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
        let prepared: Vec<_> = documents.map(|document| Prepared::new(&document, &mut frames).unwrap()).collect();
        writer.keep(&prepared).unwrap();
        prepared.into_iter().map(|prepared| prepared.frame.dictionary_id).collect()
    }

    #[test]
    fn a_dictionary_is_trained_when_it_is_time_and_holds_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
        let first = keep(&mut writer, documents(SAMPLES))[0];
        assert_eq!(writer.train_dictionary(Timestamp(1)).unwrap(), None, "too few yet");
        let connection = Connection::open(folder.database()).unwrap();
        connection.execute("INSERT INTO ledger (seq, entry) VALUES (?1, '{}')", [FIRST]).unwrap();

        let trial = writer.train_dictionary(Timestamp(1)).unwrap().unwrap();
        assert!(trial.taken && trial.bytes_after < trial.bytes_before, "{trial:?}");
        assert_eq!(writer.train_dictionary(Timestamp(2)).unwrap(), None, "not again before there is as much again");

        let dictionary = writer.dictionary().unwrap().unwrap();
        let telling = scrub::telling(&samples(&connection).unwrap());
        assert!(telling.contains(b"person7@contoso.com".as_slice()) && telling.contains(b"Headset of 7".as_slice()));
        for text in telling.iter().filter(|text| text.len() >= 5) {
            let held = dictionary.bytes.windows(text.len()).any(|window| window == &text[..]);
            assert!(!held, "{}", String::from_utf8_lossy(text));
        }

        let newer = documents(SAMPLES + 3).skip(SAMPLES).collect::<Vec<_>>();
        assert_eq!(keep(&mut writer, newer.clone().into_iter()), [Some(dictionary.id); 3]);
        assert_ne!(first, Some(dictionary.id));
        let mut reader = VersionReader::new(&connection, &Folder::new(dir.path()));
        for (seq, document) in (FIRST + 1..).zip(newer) {
            assert_eq!(reader.read(Seq(seq)).unwrap().document, document);
        }
    }

    #[test]
    fn a_dictionary_that_does_not_pay_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
        keep(&mut writer, documents(SAMPLES));
        let connection = Connection::open(folder.database()).unwrap();
        for (head, taken) in [(FIRST, true), (2 * FIRST, false)] {
            connection.execute("INSERT INTO ledger (seq, entry) VALUES (?1, '{}')", [head]).unwrap();
            assert_eq!(writer.train_dictionary(Timestamp(head)).unwrap().unwrap().taken, taken, "{head}");
        }
    }
}
