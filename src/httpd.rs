//! Serves a router on a loopback address until told to stop. Knows nothing of what is served.

use std::{future::Future, io, net::Ipv4Addr, net::TcpListener, time::Duration};

use axum::{Router, serve::ListenerExt};

/// How long open requests may go on after the word to stop.
const GRACE: Duration = Duration::from_secs(1);

/// Binds `port` of 127.0.0.1; port 0 takes any free one. Connections are accepted (and wait) from here on.
pub fn bind_loopback(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves `router` on `listener` until `stop` is ready, then gives open requests a second to end.
pub async fn serve<S>(listener: TcpListener, router: Router, stop: S) -> io::Result<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    // Without TCP_NODELAY an answer of two packets waits for the client's delayed acknowledgement.
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (told, hear) = tokio::sync::oneshot::channel::<()>();
    let graceful = async move {
        stop.await;
        let _ = told.send(());
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(graceful) => served,
        () = async {
            let _ = hear.await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}
