//! Serves a router until told to stop: on loopback, or to the world with TLS. Knows nothing of what is served.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use axum::{Router, serve::ListenerExt};
use axum_server::{Handle, tls_rustls::RustlsConfig};

/// How long open requests may go on after the word to stop.
const GRACE: Duration = Duration::from_secs(1);

/// How long a client may take to say what it wants, and to agree on TLS.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection is kept on which no request comes, or not all of one's head. A proxy lets go of an idle one sooner: else it might
/// send a request on one that is being closed.
const IDLE: Duration = Duration::from_secs(75);

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

/// A certificate with its key, in PEM files, that may be replaced while they are in use.
#[derive(Clone, Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    config: RustlsConfig,
    read: SystemTime,
}

impl Certificate {
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub async fn read(chain: &Path, key: &Path) -> Result<Self, String> {
        let (read, config) = (newest(chain, key)?, read_pem(chain, key).await?);
        Ok(Self { chain: chain.to_path_buf(), key: key.to_path_buf(), config, read })
    }

    /// Takes the files as they are by now, if they are others; says whether they were.
    ///
    /// # Errors
    /// One line; what was read before stays in use.
    pub async fn renew(&mut self) -> Result<bool, String> {
        let newest = newest(&self.chain, &self.key)?;
        if newest == self.read {
            return Ok(false);
        }
        self.config.reload_from_config(read_pem(&self.chain, &self.key).await?.get_inner());
        self.read = newest;
        Ok(true)
    }
}

fn newest(chain: &Path, key: &Path) -> Result<SystemTime, String> {
    let modified = |path: &Path| {
        std::fs::metadata(path).and_then(|file| file.modified()).map_err(|error| format!("{}: {error}", path.display()))
    };
    Ok(modified(chain)?.max(modified(key)?))
}

async fn read_pem(chain: &Path, key: &Path) -> Result<RustlsConfig, String> {
    let trouble = |error: io::Error| format!("{} with the key {}: {error}", chain.display(), key.display());
    RustlsConfig::from_pem_file(chain, key).await.map_err(trouble)
}

/// Serves `router` to whoever comes, with TLS where there is a certificate, until `stop` is ready; then open requests get `grace` to end.
/// Handlers may ask for the client's address.
pub async fn serve_all<S>(
    listener: TcpListener,
    certificate: Option<Certificate>,
    router: Router,
    stop: S,
    grace: Duration,
) -> io::Result<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    serve_within(listener, certificate, router, stop, (grace, IDLE)).await
}

async fn serve_within<S>(
    listener: TcpListener,
    certificate: Option<Certificate>,
    router: Router,
    stop: S,
    (grace, idle): (Duration, Duration),
) -> io::Result<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    let stopper = handle.clone();
    tokio::spawn(async move {
        stop.await;
        stopper.graceful_shutdown(Some(grace));
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match certificate {
        Some(certificate) => {
            let mut server = axum_server::from_tcp_rustls(listener, certificate.config)?;
            server.http_builder().http1().header_read_timeout(idle);
            server.http_builder().http2().keep_alive_interval(idle);
            server.handle(handle).first_request_timeout(PATIENCE).serve(service).await
        }
        None => {
            let mut server = axum_server::from_tcp(listener)?;
            server.http_builder().http1().header_read_timeout(idle);
            server.http_builder().http2().keep_alive_interval(idle);
            server.handle(handle).first_request_timeout(PATIENCE).serve(service).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_says_no_more_does_not_keep_a_connection() {
        let listener = bind_loopback(0).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(|| async { "here" });
        let limits = (Duration::ZERO, Duration::from_millis(200));
        tokio::spawn(serve_within(listener, None, router, std::future::pending(), limits));
        let said = |after: &'static str| {
            tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
                stream.write_all(after.as_bytes()).unwrap();
                let mut said = String::new();
                stream.read_to_string(&mut said).map(|_| said)
            })
        };
        for after in ["", "GET / HTTP/1.1\r\nHost:"] {
            assert!(said(after).await.unwrap().unwrap().contains("here"), "{after}");
        }
    }
}
