//! The thread that writes the inbox. What waits together is written together: a wait for the disk answers for many requests.

use std::{sync::Arc, thread};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    archive::inbox::{Delivery, Inbox},
    model::time::Timestamp,
};

/// Requests that may wait for the disk.
const WAITING_MAX: usize = 1024;
/// Requests whose contents are written together.
const TOGETHER_MAX: usize = 512;

struct Note {
    delivery: Delivery,
    written: Option<oneshot::Sender<bool>>,
}

/// Reaches the thread; it ends when the last clone is gone.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<Note>);

impl Desk {
    /// Starts the thread; `arrived` is told of whatever somebody should look at.
    pub(super) fn start(inbox: Inbox, arrived: Arc<Notify>) -> (Self, thread::JoinHandle<()>) {
        let (notes, waiting) = mpsc::channel(WAITING_MAX);
        let handle = thread::spawn(move || write(inbox, waiting, &arrived));
        (Self(notes), handle)
    }

    /// Writes a delivery; `true` when it is on disk.
    pub(super) async fn write(&self, delivery: Delivery) -> bool {
        let (written, answer) = oneshot::channel();
        self.0.send(Note { delivery, written: Some(written) }).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// Writes what is only counted, some time. Under too much of it some is not counted.
    pub(super) fn note(&self, delivery: Delivery) {
        let _ = self.0.try_send(Note { delivery, written: None });
    }
}

fn write(mut inbox: Inbox, mut waiting: mpsc::Receiver<Note>, arrived: &Notify) {
    while let Some(first) = waiting.blocking_recv() {
        let mut all = Delivery::default();
        let mut to_answer = Vec::new();
        let mut next = Some(first);
        let mut together = 0;
        while let Some(Note { delivery, written }) = next {
            all.append(delivery);
            to_answer.extend(written);
            together += 1;
            next = if together < TOGETHER_MAX { waiting.try_recv().ok() } else { None };
        }
        let outcome = inbox.add(&all, Timestamp::now());
        if let Err(error) = &outcome {
            tracing::error!(%error, "notifications could not be stored, and are refused so that Graph sends them again");
        }
        for written in to_answer {
            let _ = written.send(outcome.is_ok());
        }
        if outcome.is_ok() && (!all.ids.is_empty() || !all.missed.is_empty() || all.reauthorize) {
            arrived.notify_one();
        }
    }
}
