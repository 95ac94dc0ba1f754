//! What signals ask of a command that runs for long.

use std::sync::Arc;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    cli::exit::Code,
    model::event::{Event, Observer},
};

/// The first signal asks for a stop; the second ends the process at once, which loses nothing that was acknowledged.
pub(super) async fn stop_on_signal(stop: watch::Sender<bool>, observer: Arc<dyn Observer>) {
    to_stop().await;
    observer.event(&Event::Stopping);
    let _ = stop.send(true);
    to_stop().await;
    std::process::exit(Code::Incomplete as i32);
}

/// Waits for Ctrl-C or a request to terminate.
pub(super) async fn to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Counts the requests to read the configuration again.
pub(super) async fn count_hang_ups(count: watch::Sender<u64>) {
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
    while hang_up.recv().await.is_some() {
        count.send_modify(|count| *count += 1);
    }
}
