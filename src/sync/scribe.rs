//! The thread that owns the writer, and the one bridge to it.
//!
//! SQLite has one writer, so there is one thread; the bounded channel before it is the back-pressure. Versions that wait
//! together are committed together. What was committed goes on to the follower's thread, which keeps the search index.
//!
//! In place, the writer works on the task of whoever asks: no thread, no channel, and each time the same order. For simulations.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task,
};

use crate::{
    archive::{
        self, ArchiveWriter,
        batch::{Kept, Prepared},
    },
    follow::{Follower, News},
};

/// Pieces of work that may wait for the writer.
const WAITING_MAX: usize = 64;
/// Versions in one transaction: few enough that a commit takes milliseconds.
const BATCH_VERSIONS: usize = 256;
/// How long a commit waits for what follows, where more than one version came already. What a commit takes goes for the most part into pages that
/// every commit writes, and at the pace that Graph allows there is seldom more than one.
const MOMENT: Duration = Duration::from_millis(10);
/// Compressed bytes in one transaction.
const BATCH_BYTES: usize = 8 << 20;

type Job = Box<dyn FnOnce(&mut ArchiveWriter) + Send>;

enum Command {
    Keep(Box<Prepared>, oneshot::Sender<archive::Result<Kept>>),
    Work(Job),
}

/// Reaches the writer. Cloning is cheap; its thread ends when the last clone is gone.
#[derive(Clone)]
pub struct Scribe(Way);

#[derive(Clone)]
enum Way {
    Thread(mpsc::Sender<Command>),
    InPlace(Arc<Mutex<Option<Desk>>>),
}

/// Where the writer works, to be waited for.
pub struct ScribeEnd(End);

enum End {
    Thread(thread::JoinHandle<Desk>),
    InPlace(Arc<Mutex<Option<Desk>>>),
}

type Desk = (ArchiveWriter, Option<Follower>);

/// The writer is gone: it panicked, which is a defect.
#[derive(Debug, thiserror::Error)]
#[error("the writer's thread has ended unexpectedly")]
pub struct Gone;

/// What asking the scribe for something can bring.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl Scribe {
    /// Starts the thread.
    #[must_use]
    pub fn start(writer: ArchiveWriter, follower: Option<Follower>) -> (Self, ScribeEnd) {
        let (commands, inbox) = mpsc::channel(WAITING_MAX);
        let handle = thread::spawn(move || run(writer, follower, inbox));
        (Self(Way::Thread(commands)), ScribeEnd(End::Thread(handle)))
    }

    /// Lets the writer work on the tasks of those who ask.
    #[must_use]
    pub fn in_place(writer: ArchiveWriter, follower: Option<Follower>) -> (Self, ScribeEnd) {
        let desk = Arc::new(Mutex::new(Some((writer, follower))));
        (Self(Way::InPlace(Arc::clone(&desk))), ScribeEnd(End::InPlace(desk)))
    }

    /// Stores a version. When it returns, the version is on disk.
    pub async fn keep(&self, prepared: Prepared) -> Result<Kept, Error> {
        let (reply, answer) = oneshot::channel();
        self.order(Command::Keep(Box::new(prepared), reply)).await?;
        Ok(answer.await.map_err(|_| Gone)??)
    }

    /// Has the writer do something between commits.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut ArchiveWriter) -> archive::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            // Whoever asked may have been cancelled; the work is done all the same.
            let _ = reply.send(work(writer));
        });
        self.order(Command::Work(job)).await?;
        Ok(answer.await.map_err(|_| Gone)??)
    }

    async fn order(&self, command: Command) -> Result<(), Gone> {
        let desk = match &self.0 {
            Way::Thread(commands) => return commands.send(command).await.map_err(|_| Gone),
            Way::InPlace(desk) => desk,
        };
        // As with a thread, others may come first, and whoever asked may be cancelled before it is done.
        task::yield_now().await;
        let mut desk = desk.lock().map_err(|_| Gone)?;
        let (writer, follower) = desk.as_mut().ok_or(Gone)?;
        match command {
            Command::Work(job) => job(writer),
            Command::Keep(prepared, reply) => keep(writer, follower, vec![*prepared], vec![reply]),
        }
        Ok(())
    }
}

impl ScribeEnd {
    /// Waits until all that was asked is done; all clones of the scribe must be dropped before. Gives writer and follower back.
    pub fn finish(self) -> Result<(ArchiveWriter, Option<Follower>), Gone> {
        match self.0 {
            End::Thread(handle) => handle.join().map_err(|_| Gone),
            End::InPlace(desk) => desk.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(Gone),
        }
    }
}

fn run(
    mut writer: ArchiveWriter,
    mut follower: Option<Follower>,
    mut inbox: mpsc::Receiver<Command>,
) -> (ArchiveWriter, Option<Follower>) {
    let mut next = inbox.blocking_recv();
    while let Some(command) = next.take() {
        match command {
            Command::Work(job) => job(&mut writer),
            Command::Keep(prepared, reply) => {
                let (batch, replies, after) = gather(*prepared, reply, &mut inbox);
                keep(&mut writer, &mut follower, batch, replies);
                next = after;
            }
        }
        if next.is_none() {
            next = inbox.blocking_recv();
        }
    }
    (writer, follower)
}

type Reply = oneshot::Sender<archive::Result<Kept>>;

/// Takes what else waits to be stored; returns also the first command that is something else. Where others wait, more will follow: it waits a
/// moment for them, once.
fn gather(
    first: Prepared,
    reply: Reply,
    inbox: &mut mpsc::Receiver<Command>,
) -> (Vec<Prepared>, Vec<Reply>, Option<Command>) {
    let mut bytes = first.frame.bytes.len();
    let (mut batch, mut replies) = (vec![first], vec![reply]);
    let mut may_wait = true;
    while batch.len() < BATCH_VERSIONS && bytes < BATCH_BYTES {
        match inbox.try_recv() {
            Ok(Command::Keep(prepared, reply)) => {
                bytes += prepared.frame.bytes.len();
                batch.push(*prepared);
                replies.push(reply);
            }
            Ok(other) => return (batch, replies, Some(other)),
            Err(_) if may_wait && batch.len() > 1 => {
                may_wait = false;
                thread::sleep(MOMENT);
            }
            Err(_) => break,
        }
    }
    (batch, replies, None)
}

fn keep(writer: &mut ArchiveWriter, follower: &mut Option<Follower>, batch: Vec<Prepared>, replies: Vec<Reply>) {
    let outcomes = match writer.keep(&batch) {
        Ok(outcomes) => outcomes,
        // One version may be what fails all; alone, the others pass.
        Err(_) if batch.len() > 1 => {
            for (prepared, reply) in batch.into_iter().zip(replies) {
                keep(writer, follower, vec![prepared], vec![reply]);
            }
            return;
        }
        Err(error) => {
            if let Some(reply) = replies.into_iter().next() {
                let _ = reply.send(Err(error));
            }
            return;
        }
    };
    let mut news = Vec::new();
    for ((prepared, reply), outcome) in batch.into_iter().zip(replies).zip(outcomes) {
        // Whoever asked may have been cancelled; the version is stored all the same.
        let _ = reply.send(Ok(outcome));
        if let Kept::Stored { record_id, seq, version, newest: true, first } = outcome {
            news.push(News { record_id, seq, id: prepared.key.id, version, first, derived: prepared.derived });
        }
    }
    if let Some(follower) = follower {
        follower.send_all(news);
    }
}
