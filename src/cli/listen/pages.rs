//! Looks up what `/metrics` and `/healthz` say, on the side of the program that may read the archive.

use std::net::TcpListener;

use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
};

use crate::{
    cli::Context,
    web::{self, Page, Question, Told},
};

/// Answers questions until there are no more.
pub(super) fn answer(runtime: &Runtime, context: &Context, mut asked: mpsc::Receiver<Question>) {
    let own = context.with(context.config.clone());
    runtime.spawn(async move {
        while let Some(Question { page, answer }) = asked.recv().await {
            // One after another: whoever asks again and again waits.
            let told = tokio::task::block_in_place(|| look_up(page, &own));
            let _ = answer.send(told);
        }
    });
}

/// Serves the pages to whoever reaches `listener`.
pub(super) fn serve(
    runtime: &Runtime,
    listener: TcpListener,
    questions: mpsc::Sender<Question>,
    stop: watch::Receiver<bool>,
) {
    runtime.spawn(web::serve_pages(listener, questions, stop));
}

fn look_up(_page: Page, _context: &Context) -> Told {
    Told { status: 200, content_type: "text/plain; charset=utf-8", body: String::new() }
}
