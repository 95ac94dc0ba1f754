//! A signed ledger: what whoever has not the key cannot do unseen.

use super::*;
use crate::{
    archive::signing::Signing,
    proof::{checkpoint::Checkpoint, note::PrivateKey},
    verify::{Kept, Subset},
};

/// Calls enough that nodes of the tree are kept.
const MANY: i64 = 300;

fn key() -> PrivateKey {
    PrivateKey::generate("test").unwrap()
}

impl Bench {
    fn signed_writer(&self, key: &PrivateKey) -> ArchiveWriter {
        let mut writer = self.writer();
        assert_eq!(writer.sign_with(Some(key), Timestamp(0)).unwrap(), Signing::Signed);
        writer
    }

    /// A signed archive of [`MANY`] calls.
    fn signed(key: &PrivateKey) -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        let mut writer = bench.signed_writer(key);
        let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
        for chunk in (0..MANY).collect::<Vec<_>>().chunks(70) {
            let batch: Vec<_> = chunk.iter().map(|n| prepared(*n, 1, &mut frames)).collect();
            writer.keep(&batch).unwrap();
        }
        let run = writer.begin_run("sync", Timestamp(9)).unwrap();
        writer.end_run(run, (0, "{}"), None, Timestamp(9)).unwrap();
        follow::catch_up(&bench.archive()).unwrap();
        writer.checkpoint().unwrap();
        bench
    }

    fn verify_with(&self, ask: &Ask) -> Summary {
        verify(&self.archive(), ask, &mut |_| {}).unwrap()
    }

    fn newest(&self) -> Kept {
        Kept { name: "elsewhere.txt".into(), note: self.archive().checkpoint().unwrap().unwrap().note }
    }
}

fn of_checkpoints(summary: &Summary) -> Vec<String> {
    let of_them = summary.findings.iter().filter(|finding| finding.what == What::Checkpoint);
    of_them.map(|finding| finding.message.clone()).collect()
}

#[test]
fn a_signed_archive_is_whole_and_every_entry_can_be_proved() {
    let key = key();
    let bench = Bench::signed(&key);
    let ask = Ask { key: Some(key.public()), against: vec![bench.newest()], ..Ask::default() };
    let summary = bench.verify_with(&ask);
    assert_eq!((texts(&summary), &summary.notes), (vec![], &vec![]));
    let archive = bench.archive();
    let note = bench.newest().note;
    let read = Checkpoint::of_note(&crate::proof::note::Note::parse(&note).unwrap()).unwrap();
    assert_eq!(read.size, archive.head().unwrap().0.unsigned_abs());
    let mut prover = archive.prover(read.size);
    for (seq, line) in archive.entries_after(Seq(0), usize::MAX).unwrap() {
        let path: Vec<_> = prover.path(seq).unwrap().into_iter().map(|hash| hash.0).collect();
        let leaf = crate::proof::tree::leaf_hash(line.as_bytes());
        let at = (seq.0.unsigned_abs() - 1, read.size);
        assert!(crate::proof::tree::is_included(&leaf, at, &path, &read.root), "{seq}");
    }
}

#[test]
fn the_signature_goes_with_every_commit() {
    let key = key();
    let bench = Bench::signed(&key);
    let before = bench.newest();
    let mut writer = bench.signed_writer(&key);
    let mut frames = FrameWriter::new(None).unwrap();
    writer.keep(&[prepared(0, 2, &mut frames)]).unwrap();
    drop(writer);
    let summary = bench.verify_with(&Ask { against: vec![before], ..Ask::default() });
    assert_eq!(texts(&summary), Vec::<String>::new(), "an older checkpoint is the beginning of what is here");
}

#[test]
fn a_forged_record_with_the_right_hashes_is_found() {
    let key = key();
    let bench = Bench::signed(&key);
    let mut frames = FrameWriter::new(None).unwrap();
    // As the program does it, without the key.
    bench.writer().keep(&[prepared(MANY, 1, &mut frames)]).unwrap();
    follow::catch_up(&bench.archive()).unwrap();
    let found = of_checkpoints(&bench.verify_with(&Ask::default()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("covered by no checkpoint"), "{found:?}");
    // The next writer does not sign it unseen, and archives all the same.
    let mut writer = bench.writer();
    let signing = writer.sign_with(Some(&key), Timestamp(0)).unwrap();
    assert!(matches!(signing, Signing::Unsigned { .. }), "{signing:?}");
    assert!(signing.trouble().unwrap_err().is_damage());
    writer.keep(&[prepared(MANY + 1, 1, &mut frames)]).unwrap();
    // Somebody has looked at it.
    writer.sign_late(&key, "a test", Timestamp(0)).unwrap();
    drop(writer);
    follow::catch_up(&bench.archive()).unwrap();
    let summary = bench.verify_with(&Ask::default());
    assert_eq!(texts(&summary), Vec::<String>::new());
    assert!(matches!(&summary.notes[..], [Note::SignedLate { .. }]), "{:?}", summary.notes);
}

#[test]
fn a_ledger_signed_anew_by_somebody_else_is_found_by_key_and_checkpoint() {
    let (key, other) = (key(), key());
    let bench = Bench::signed(&key);
    let kept = bench.newest();
    // Everything a forger can do to the archive alone: another history, whole in itself, under the old name.
    let forged = Bench::signed(&other);
    let ask = Ask { key: Some(key.public()), ..Ask::default() };
    assert!(bench.verify_with(&ask).is_whole());
    assert_eq!(of_checkpoints(&forged.verify_with(&ask)).len(), 1);
    let found = of_checkpoints(&forged.verify_with(&Ask { against: vec![kept], ..Ask::default() }));
    assert!(found.iter().any(|what| what.contains("elsewhere.txt is not signed by the key")), "{found:?}");
    assert!(
        forged.verify_with(&Ask::default()).is_whole(),
        "in itself it is whole: that is why a key or checkpoint is kept elsewhere"
    );
}

#[test]
fn an_older_copy_put_back_is_found_by_a_checkpoint_kept_elsewhere() {
    let key = key();
    let bench = Bench::signed(&key);
    let older = fs::read(bench.folder().database()).unwrap();
    let mut writer = bench.signed_writer(&key);
    writer.keep(&[prepared(0, 2, &mut FrameWriter::new(None).unwrap())]).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    let kept = bench.newest();
    overwrite(&bench.folder().database(), &older);
    assert!(bench.verify_with(&Ask::default()).is_whole(), "the older copy is whole in itself");
    let found = of_checkpoints(&bench.verify_with(&Ask { against: vec![kept], ..Ask::default() }));
    assert!(found[0].contains("entries are gone, or an older copy was put back"), "{found:?}");
}

#[test]
fn what_is_done_to_a_signed_ledger_is_found() {
    let key = key();
    let other = PrivateKey::generate("callvault/x").unwrap();
    let forged = Checkpoint { origin: "callvault/x".into(), size: 303, root: [1; 32] }.sign(&[&other]);
    let whole = Bench::signed(&key);
    for (sql, expected) in [
        // An entry changed so that nothing else contradicts it.
        ("UPDATE ledger SET entry = replace(entry, '\"exit_code\":0', '\"exit_code\":3') WHERE entry LIKE '%\"op\":\"run\"%'".to_owned(), "over other entries"),
        ("DELETE FROM checkpoint".to_owned(), "there is no checkpoint"),
        ("UPDATE checkpoint SET size = 200, note = note WHERE size > 200".to_owned(), "says that it covers"),
        (format!("UPDATE checkpoint SET note = '{forged}' WHERE size > 200"), "not signed by the key"),
        ("UPDATE node SET hash = zeroblob(32)".to_owned(), "is not theirs"),
        ("UPDATE ledger SET entry = replace(entry, '+', '-') WHERE entry LIKE '%\"op\":\"key\"%'".to_owned(), "names a key that is none"),
    ] {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        copy(&whole.folder(), &bench.folder());
        bench.sql(&sql);
        for quick in [false, true] {
            let found = of_checkpoints(&bench.verify(quick));
            assert!(found.iter().any(|what| what.contains(expected)), "{sql}: {found:?}");
        }
    }
}

fn copy(from: &Folder, to: &Folder) {
    fs::create_dir_all(to.path()).unwrap();
    for name in ["FORMAT", "archive.db"] {
        fs::copy(from.path().join(name), to.path().join(name)).unwrap();
    }
}

#[test]
fn a_key_is_handed_over_with_both_signatures_or_not_unseen() {
    let (first, second, third) = (key(), key(), key());
    let bench = Bench::signed(&first);
    let mut writer = bench.signed_writer(&first);
    writer.replace_key(&second, Timestamp(1)).unwrap();
    writer.keep(&[prepared(0, 2, &mut FrameWriter::new(None).unwrap())]).unwrap();
    drop(writer);
    let summary = bench.verify_with(&Ask { key: Some(second.public()), ..Ask::default() });
    assert_eq!(texts(&summary), Vec::<String>::new());
    // The former signs nothing any more.
    assert!(matches!(bench.writer().sign_with(Some(&first), Timestamp(1)).unwrap(), Signing::OtherKey(_)));
    assert!(matches!(bench.writer().sign_with(None, Timestamp(1)).unwrap(), Signing::NoKey(_)));
    // The second is lost: a third signs alone, and that is told for good.
    bench.writer().sign_late(&third, "the machine burnt down", Timestamp(2)).unwrap();
    let summary = bench.verify_with(&Ask { key: Some(third.public()), ..Ask::default() });
    assert_eq!(texts(&summary), Vec::<String>::new());
    assert!(summary.notes.iter().any(|note| matches!(note, Note::KeyReplaced { .. })), "{:?}", summary.notes);
    // A lost key and entries that nobody signed, in one step.
    bench.writer().keep(&[prepared(1, 2, &mut FrameWriter::new(None).unwrap())]).unwrap();
    bench.writer().sign_late(&key(), "both at once", Timestamp(3)).unwrap();
    follow::catch_up(&bench.archive()).unwrap();
    let summary = bench.verify_with(&Ask::default());
    assert_eq!(texts(&summary), Vec::<String>::new());
    assert!(summary.notes.iter().any(|note| matches!(note, Note::SignedLate { .. })), "{:?}", summary.notes);
    bench.sql("UPDATE checkpoint SET kept_ns = 9 WHERE kept_ns = 3");
    let found = of_checkpoints(&bench.verify_with(&Ask::default()));
    assert!(found.iter().any(|what| what.contains("says another time")), "{found:?}");
    // The checkpoint that both signed is what proves it.
    bench.sql("DELETE FROM checkpoint WHERE kept_ns = 1");
    let found = of_checkpoints(&bench.verify_with(&Ask::default()));
    assert!(found.iter().any(|what| what.contains("the former has not signed that")), "{found:?}");
}

#[test]
fn parts_make_up_the_whole() {
    let bench = Bench::signed(&key());
    let read: u64 = (1..=12)
        .map(|part| {
            let summary = bench.verify_with(&Ask { subset: Some(Subset { part, of: 12 }), ..Ask::default() });
            assert!(summary.is_whole());
            assert!(summary.versions < MANY.unsigned_abs() / 6, "{}", summary.versions);
            summary.versions
        })
        .sum();
    assert_eq!(read, MANY.unsigned_abs());
    assert_eq!("3/12".parse(), Ok(Subset { part: 3, of: 12 }));
    for bad in ["0/12", "13/12", "3", "3/", "a/b", "3/0"] {
        assert!(bad.parse::<Subset>().is_err(), "{bad}");
    }
}
