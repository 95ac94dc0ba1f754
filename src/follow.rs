//! Keeps the search index at the head of the ledger. The index writes its position inside its own commit, so nothing can
//! disagree: what a crash takes from it is followed again.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    archive::{self, Archive, Folder},
    model::{
        derive,
        id::{RecordId, Seq, Version},
        rows::Derived,
    },
    search::{self, Entry, Indexer},
};

/// Versions handed over at a time, and how many such handfuls may wait for the index. To wake its thread for each costs more than to hand over.
const HANDFUL: usize = 16;
const WAITING_MAX: usize = 4;
/// A commit of the index costs some 50 ms, so it waits for so many versions, or so long.
const COMMIT_VERSIONS: u64 = 20_000;
const COMMIT_EVERY: Duration = Duration::from_secs(20);
/// Versions read from the ledger at a time.
const CHUNK: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("the search index in {} cannot be set aside: {source}", path.display())]
    SetAside { path: PathBuf, source: std::io::Error },
    #[error("the search index's thread has ended unexpectedly")]
    Gone,
}

pub type Result<T> = std::result::Result<T, Error>;

/// A version just stored that is now its record's newest.
#[derive(Debug)]
pub struct News {
    pub record_id: RecordId,
    pub seq: Seq,
    pub id: String,
    pub version: Version,
    /// Whether no version of its record was stored before, so that the index can have none.
    pub first: bool,
    pub derived: Derived,
}

impl News {
    fn into_entry(self) -> Entry {
        let start = self.derived.record.start;
        Entry {
            record_id: self.record_id,
            seq: self.seq,
            start,
            id: self.id,
            version: self.version,
            derived: self.derived,
        }
    }
}

/// The index's thread, following what a writer stores.
pub struct Follower {
    news: Option<SyncSender<Vec<News>>>,
    thread: Option<thread::JoinHandle<Result<u64>>>,
    flags: Arc<Flags>,
}

/// What a follower and its thread tell each other.
#[derive(Default)]
struct Flags {
    /// Set by the thread once it has read what the ledger held at first.
    caught_up: AtomicBool,
    /// Set when news were not handed over: the thread finds them in the ledger before it takes any that came after them.
    missed: AtomicBool,
    /// Set when the index is to stay behind for now.
    given_up: AtomicBool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl Follower {
    /// Starts a thread that first catches up with the ledger and then takes news. The caller holds the writer's lock.
    #[must_use]
    pub fn start(folder: &Folder) -> Self {
        let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
        let flags = Arc::new(Flags::default());
        let (its_flags, its_folder) = (Arc::clone(&flags), folder.clone());
        let thread = thread::spawn(move || follow(&its_folder, &receiver, &its_flags));
        Self { news: Some(sender), thread: Some(thread), flags }
    }

    /// Hands over versions, in the order of the ledger. Waits while too many wait, but not for an index that is still being made: storing must
    /// not wait for what can be read from the ledger later. Once the thread has failed, news go nowhere: [`Self::finish`] tells why.
    pub fn send_all(&mut self, news: Vec<News>) {
        let mut rest = news.into_iter();
        loop {
            let handful: Vec<News> = rest.by_ref().take(HANDFUL).collect();
            if handful.is_empty() {
                break;
            }
            self.hand_over(handful);
        }
    }

    fn hand_over(&mut self, news: Vec<News>) {
        let Some(sender) = &self.news else { return };
        let is_gone = match sender.try_send(news) {
            Ok(()) => false,
            Err(TrySendError::Full(news)) if self.flags.caught_up.load(Ordering::Acquire) => sender.send(news).is_err(),
            Err(TrySendError::Full(_)) => {
                self.flags.missed.store(true, Ordering::Release);
                false
            }
            Err(TrySendError::Disconnected(_)) => true,
        };
        if is_gone {
            self.news = None;
        }
    }

    /// Ends within seconds, however far the index is behind: queries say so, and the next writing command makes up for it.
    pub fn leave(self) -> Result<u64> {
        self.flags.given_up.store(true, Ordering::Release);
        self.finish()
    }

    /// Waits until all that was stored is searchable; returns how many records were put into the index.
    pub fn finish(mut self) -> Result<u64> {
        drop(self.news.take());
        self.thread.take().map_or(Ok(0), |thread| thread.join().unwrap_or(Err(Error::Gone)))
    }
}

/// An indexer, its position, and what it has put since its last commit.
struct Following {
    indexer: Indexer,
    position: Seq,
    put: u64,
    uncommitted: u64,
    committed_at: Instant,
}

impl Following {
    /// Takes news in. What was stored while it caught up was read from the ledger already.
    fn take(&mut self, news: Vec<News>) -> Result<()> {
        let new = news.into_iter().filter(|news| news.seq > self.position);
        let entries: Vec<_> = new.map(|news| (news.first, news.into_entry())).collect();
        let Some((_, last)) = entries.last() else { return Ok(()) };
        let last = last.seq;
        self.put(&entries)?;
        self.reach(last)
    }

    /// Puts entries in, each in the place of what the index may have of its record unless it is the first. Before everything up to them is
    /// in, nothing may be committed.
    fn put(&mut self, entries: &[(bool, Entry)]) -> Result<()> {
        self.indexer.put(entries.iter().map(|(first, entry)| (entry, *first)))?;
        self.put += entries.len() as u64;
        self.uncommitted += entries.len() as u64;
        Ok(())
    }

    /// Notes that everything up to `seq` is in, and commits now and then.
    fn reach(&mut self, seq: Seq) -> Result<()> {
        self.position = self.position.max(seq);
        if self.uncommitted >= COMMIT_VERSIONS || self.committed_at.elapsed() >= COMMIT_EVERY {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.indexer.commit(self.position)?;
        self.uncommitted = 0;
        self.committed_at = Instant::now();
        Ok(())
    }
}

fn follow(folder: &Folder, news: &Receiver<Vec<News>>, flags: &Flags) -> Result<u64> {
    let archive = Archive::open(folder)?;
    let given_up = || flags.given_up.load(Ordering::Acquire);
    let mut following = open_or_begin(&folder.index())?;
    if !catch_up_with(&archive, &mut following, &given_up)? {
        // What waits as news stands behind what was not read: taken in, it would let the index claim both.
        return Ok(following.put);
    }
    flags.caught_up.store(true, Ordering::Release);
    loop {
        let received = news.recv_timeout(COMMIT_EVERY);
        if flags.missed.swap(false, Ordering::AcqRel) && !catch_up_with(&archive, &mut following, &given_up)? {
            return Ok(following.put);
        }
        match received {
            Ok(news) => following.take(news)?,
            Err(RecvTimeoutError::Timeout) if following.uncommitted > 0 => following.commit()?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    finish(&archive, following, &given_up)
}

/// Brings the index to the head of the ledger, making it anew where it is missing, damaged or of another schema. The caller
/// holds the writer's lock. Returns how many records were put into it.
pub fn catch_up(archive: &Archive) -> Result<u64> {
    let mut following = open_or_begin(&archive.folder().index())?;
    catch_up_with(archive, &mut following, &|| false)?;
    finish(archive, following, &|| false)
}

/// An index made anew beside the one in use, whose place it takes at the end: until then questions are answered as before.
pub struct Rebuild {
    /// `None` once it is finished.
    indexer: Option<Indexer>,
    put: u64,
    folder: Folder,
}

impl Rebuild {
    /// Begins with an empty one. The caller holds the writer's lock.
    pub fn begin(folder: &Folder) -> Result<Self> {
        let index = beside(folder);
        set_aside(&index)?;
        let mut indexer = Indexer::create_fresh(&index)?;
        // All is merged at the end at once.
        indexer.merge_nothing();
        Ok(Self { indexer: Some(indexer), put: 0, folder: folder.clone() })
    }

    /// Puts records in, of which it must not have other versions.
    pub fn put(&mut self, news: impl Iterator<Item = News>) -> Result<()> {
        let entries: Vec<_> = news.map(News::into_entry).collect();
        self.indexer.as_mut().ok_or(Error::Gone)?.put(entries.iter().map(|entry| (entry, true)))?;
        self.put += entries.len() as u64;
        Ok(())
    }

    /// Puts it in the place of the other, as one that knows the ledger up to `head`. Returns how many records it has.
    pub fn finish(mut self, head: Seq) -> Result<u64> {
        let mut indexer = self.indexer.take().ok_or(Error::Gone)?;
        indexer.commit(head)?;
        indexer.compact()?;
        indexer.finish()?;
        let index = self.folder.index();
        set_aside(&index)?;
        let failed = |source| Error::SetAside { path: index.clone(), source };
        fs::rename(beside(&self.folder), &index).map_err(failed)?;
        Ok(self.put)
    }
}

impl Drop for Rebuild {
    /// One that is given up leaves nothing behind; after a crash the next one clears the place.
    fn drop(&mut self) {
        drop(self.indexer.take());
        let _ = fs::remove_dir_all(beside(&self.folder));
    }
}

fn beside(folder: &Folder) -> PathBuf {
    folder.index().with_extension("new")
}

/// The newest versions after `after`, as the index takes them: what it has not reached yet. `None` when there are more than `limit`.
pub fn tail(archive: &Archive, after: Seq, limit: usize) -> Result<Option<Vec<Entry>>> {
    let seqs = archive.version_seqs_after(after, limit + 1)?;
    if seqs.len() > limit {
        return Ok(None);
    }
    let mut entries = Vec::new();
    each_entry(archive, &seqs, &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    entries.sort_by_key(|entry| entry.seq);
    Ok(Some(entries))
}

/// The newest versions among `seqs`, as the index takes them.
pub fn entries(archive: &Archive, seqs: &[Seq]) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(seqs.len());
    each_entry(archive, seqs, &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Ok(entries)
}

/// Takes records that were disposed of out of the index, and all that it had of them off the disk. The caller holds the writer's lock.
pub fn forget(archive: &Archive, records: &[RecordId]) -> Result<()> {
    let index = archive.folder().index();
    for left in [index.with_extension("old"), beside(archive.folder())] {
        if left.exists() {
            fs::remove_dir_all(&left).map_err(|source| Error::SetAside { path: left.clone(), source })?;
        }
    }
    if !index.exists() {
        return Ok(());
    }
    let mut following = open_or_begin(&index)?;
    // One under way would go on writing what it had read before.
    following.indexer.merge_nothing();
    catch_up_with(archive, &mut following, &|| false)?;
    for record in records {
        following.indexer.remove(*record);
    }
    following.commit()?;
    following.indexer.compact()?;
    Ok(following.indexer.finish()?)
}

/// Commits at the head of the ledger, unless given up before. What was not handed over is read from there, so that no entry is passed unseen.
fn finish(archive: &Archive, mut following: Following, given_up: &dyn Fn() -> bool) -> Result<u64> {
    let head = archive.head()?;
    let is_whole = catch_up_with(archive, &mut following, given_up)?;
    if is_whole && following.position < head {
        following.position = head;
        following.commit()?;
    }
    // Merges that are given up cost their work alone.
    if !given_up() {
        following.indexer.finish()?;
    }
    Ok(following.put)
}

/// Reads on in the ledger, to its end unless it is given up; says whether it got there.
fn catch_up_with(archive: &Archive, following: &mut Following, given_up: &dyn Fn() -> bool) -> Result<bool> {
    let mut is_whole = false;
    while !given_up() {
        let seqs = archive.version_seqs_after(following.position, CHUNK)?;
        let Some(last) = seqs.last().copied() else {
            is_whole = true;
            break;
        };
        each_entry(archive, &seqs, &mut |entry| following.put(&[(false, entry)]))?;
        following.uncommitted += 1;
        following.reach(last)?;
    }
    if following.uncommitted > 0 {
        following.commit()?;
    }
    Ok(is_whole)
}

/// Makes entries of those of `seqs` that are their record's newest version, one at a time, in the order in which reading costs least.
fn each_entry(archive: &Archive, seqs: &[Seq], on: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
    let mut reader = archive.version_reader();
    let mut newest = Vec::with_capacity(seqs.len());
    for seq in seqs {
        match archive.record_of(*seq)? {
            Some((record_id, true)) => newest.push((record_id, *seq)),
            Some(_) => {}
            None => {
                let what = "names a version that is missing".into();
                return Err(archive::Error::DamagedLedger { seq: *seq, what }.into());
            }
        }
    }
    reader.sort(&mut newest, |(_, seq)| *seq)?;
    for (record_id, seq) in newest {
        let line = reader.document(seq)?;
        let derived = derive::record(&line.info.key, line.asked, line.json);
        let (start, id, version) = (derived.record.start, line.info.key.id, line.info.version);
        on(Entry { record_id, seq, start, id, version, derived })?;
    }
    Ok(())
}

fn open_or_begin(index: &Path) -> Result<Following> {
    match Indexer::open_or_create(index) {
        Ok((indexer, position)) => {
            Ok(Following { indexer, position, put: 0, uncommitted: 0, committed_at: Instant::now() })
        }
        Err(search::Error::Damaged(why)) => {
            tracing::warn!(why, "the search index is made anew");
            set_aside(index)?;
            begin(index)
        }
        Err(other) => Err(other.into()),
    }
}

fn begin(index: &Path) -> Result<Following> {
    let indexer = Indexer::create_fresh(index)?;
    Ok(Following { indexer, position: Seq(0), put: 0, uncommitted: 0, committed_at: Instant::now() })
}

/// The index is derived: it may be thrown away, and half of one must never be found under its name.
fn set_aside(index: &Path) -> Result<()> {
    let failed = |source| Error::SetAside { path: index.to_path_buf(), source };
    let old = index.with_extension("old");
    if old.exists() {
        fs::remove_dir_all(&old).map_err(failed)?;
    }
    if index.exists() {
        fs::rename(index, &old).map_err(failed)?;
        fs::remove_dir_all(&old).map_err(failed)?;
    }
    Ok(())
}
