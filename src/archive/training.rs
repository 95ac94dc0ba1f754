//! A dictionary of the archive's own: trained on scrubbed records when there are enough new ones, taken when it pays.
//!
//! Frames that are stored keep the dictionary that they were made with; a new one is for new frames.

use rusqlite::{Connection, params};

use crate::{
    archive::{
        error::Result,
        frame::{Dictionary, FrameReader, FrameWriter},
        ledger, schema, versions,
    },
    model::{
        id::{Seq, Sha256},
        scrub::Survey,
        time::Timestamp,
    },
};

/// Calls that are looked at, of the newest so many: three of four are learnt from, the fourth is what a dictionary is tried on.
const SAMPLES: usize = 1024;
const AMONG: usize = 4 * SAMPLES;
/// Larger ones have enough in themselves to refer to.
const FRAME_BYTES_MAX: usize = 8 * 1024;
/// Ledger entries until it is tried for the first time; then as many again as there were, up to the second number.
const FIRST: i64 = 20_000;
const AT_MOST: i64 = 200_000;
/// What is learnt from, at the most: zstd asks for a hundred times the dictionary. All of it has to be in memory at once.
const LEARNT_BYTES: usize = 12 << 20;
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
    let seqs = chosen(connection)?;
    schema::set(connection, TRIED, head.0)?;
    if seqs.len() < SAMPLES {
        return Ok(None);
    }
    let (learnt_from, tried_on) = apart(seqs);
    let mut samples = Samples { connection, reader: None };
    let Some(bytes) = learnt(&mut samples, &learnt_from)? else { return Ok(None) };
    let Some(dictionary) = named(connection, bytes)? else { return Ok(None) };
    let current = versions::current_dictionary(connection)?;
    let [bytes_before, bytes_after] = compressed(&mut samples, &tried_on, [current.as_ref(), Some(&dictionary)])?;
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

/// The calls that are looked at, spread over the newest.
fn chosen(connection: &Connection) -> Result<Vec<Seq>> {
    let mut statement = connection.prepare(
        "SELECT version.seq FROM version JOIN record USING (record_id)
         WHERE kind = 1 AND length(frame) BETWEEN 1 AND ?1 ORDER BY version.seq DESC LIMIT ?2",
    )?;
    let limits = params![i64::try_from(FRAME_BYTES_MAX).unwrap_or(i64::MAX), i64::try_from(AMONG).unwrap_or(i64::MAX)];
    let seqs = statement.query_map(limits, |row| row.get(0).map(Seq))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let step = (seqs.len() / SAMPLES).max(1);
    Ok(seqs.into_iter().step_by(step).take(SAMPLES).collect())
}

/// Reads what frames of calls hold, uncompressed, one at a time and again for each look: together they are tens of megabytes, and more than all
/// else that a sync needs at its end.
struct Samples<'c> {
    connection: &'c Connection,
    reader: Option<(Option<i64>, FrameReader)>,
}

impl Samples<'_> {
    /// `None` where it is damaged, which is `verify`'s to find.
    fn content(&mut self, seq: Seq) -> Result<Option<&[u8]>> {
        let (frame, id): (Vec<u8>, Option<i64>) = self
            .connection
            .prepare_cached("SELECT frame, dictionary_id FROM version WHERE seq = ?1")?
            .query_row([seq.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if self.reader.as_ref().is_none_or(|(of, _)| *of != id) {
            let dictionary = match id {
                Some(id) => versions::dictionary(self.connection, id)?.ok(),
                None => None,
            };
            self.reader = Some((id, FrameReader::new(dictionary.as_ref())?));
        }
        Ok(self.reader.as_mut().and_then(|(_, reader)| reader.content(&frame).ok()))
    }

    fn each(&mut self, seqs: &[Seq], on: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        seqs.iter().try_for_each(|seq| self.content(*seq)?.map_or(Ok(()), &mut *on))
    }
}

fn apart(seqs: Vec<Seq>) -> (Vec<Seq>, Vec<Seq>) {
    let (tried_on, learnt_from): (Vec<_>, Vec<_>) = seqs.into_iter().enumerate().partition(|(n, _)| n % 4 == 3);
    let seqs = |numbered: Vec<(usize, Seq)>| numbered.into_iter().map(|(_, seq)| seq).collect();
    (seqs(learnt_from), seqs(tried_on))
}

/// What a dictionary of `seqs` has in it; `None` where zstd finds nothing to put into one.
fn learnt(samples: &mut Samples<'_>, seqs: &[Seq]) -> Result<Option<Vec<u8>>> {
    let (mut survey, mut bytes) = (Survey::default(), 0);
    samples.each(seqs, &mut |content| {
        bytes += content.len();
        survey.look(content);
        Ok(())
    })?;
    let mut scrubber = survey.scrubber();
    let step = bytes.div_ceil(LEARNT_BYTES).max(1);
    let seqs: Vec<Seq> = seqs.iter().copied().step_by(step).collect();
    let (mut scrubbed, mut sizes) = (Vec::with_capacity(bytes / step), Vec::with_capacity(seqs.len()));
    samples.each(&seqs, &mut |content| {
        scrubber.append(content, &mut scrubbed);
        sizes.push(content.len());
        Ok(())
    })?;
    Ok(zstd::dict::from_continuous(&scrubbed, &sizes, DICTIONARY_BYTES).ok())
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

/// How long the frames of `seqs` are with each of two dictionaries.
fn compressed(samples: &mut Samples<'_>, seqs: &[Seq], of: [Option<&Dictionary>; 2]) -> Result<[usize; 2]> {
    let [one, other] = of;
    let (mut writers, mut sums) = ([FrameWriter::new(one)?, FrameWriter::new(other)?], [0; 2]);
    samples.each(seqs, &mut |content| {
        for (writer, sum) in writers.iter_mut().zip(&mut sums) {
            *sum += writer.compressed(content)?.len();
        }
        Ok(())
    })?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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

    /// Texts of the calls that are looked at which no dictionary may hold.
    fn telling(connection: &Connection) -> HashSet<Vec<u8>> {
        let (seqs, mut samples) = (chosen(connection).unwrap(), Samples { connection, reader: None });
        let (mut survey, mut found) = (Survey::default(), HashSet::new());
        let look = &mut |content: &[u8]| {
            survey.look(content);
            Ok(())
        };
        samples.each(&seqs, look).unwrap();
        let scrubber = survey.scrubber();
        let tell = &mut |content: &[u8]| {
            scrubber.telling(content, &mut found);
            Ok(())
        };
        samples.each(&seqs, tell).unwrap();
        found
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
        let telling = telling(&connection);
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
