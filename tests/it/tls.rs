//! Between callvault and Graph: TLS with a private CA, and a proxy.
//!
//! The simulator speaks plain http; here a front ends TLS before it, as a company's gateway does.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use callvault::{model::time::Age, simulate::Planted};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::support::{Bench, Ran, ago, empty, finish};

/// A front for `localhost` whose certificate only `ca_pem` vouches for.
struct Front {
    port: u16,
    ca_pem: String,
}

static NUMBER: AtomicUsize = AtomicUsize::new(1);

impl Front {
    fn before(simulator_url: &str) -> Self {
        Self::of("localhost", simulator_url)
    }

    /// With a certificate for `name`.
    fn of(name: &str, simulator_url: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own, as authorities have.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Contoso CA {number}"));
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let (config, behind) = (Arc::new(config), simulator_url.replace("http://", ""));
        let port = listen(move |stream| {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).map_err(io::Error::other)?, stream);
            let request = read_request(&mut tls)?;
            let mut simulator = TcpStream::connect(&behind)?;
            // One request a connection: the answer ends where the simulator ends it.
            let request = String::from_utf8_lossy(&request).replacen("\r\n", "\r\nconnection: close\r\n", 1);
            simulator.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            simulator.read_to_end(&mut answer)?;
            tls.write_all(&answer)?;
            tls.conn.send_close_notify();
            tls.flush()
        });
        Self { port, ca_pem: ca.as_ref().pem() }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// A proxy that lets through, or not, and counts what it is asked.
struct Proxy {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(refusal: Option<&'static str>) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let port = listen(move |mut stream| {
            let head = String::from_utf8_lossy(&read_request(&mut stream)?).into_owned();
            counter.fetch_add(1, Ordering::SeqCst);
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
            let (None, Some(target)) = (refusal, target) else {
                return write!(
                    stream,
                    "HTTP/1.1 {}\r\ncontent-length: 0\r\n\r\n",
                    refusal.unwrap_or("400 Bad Request")
                );
            };
            let mut behind = TcpStream::connect(target)?;
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let (mut to, mut from) = (behind.try_clone()?, stream.try_clone()?);
            let there = thread::spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write)));
            io::copy(&mut behind, &mut stream)?;
            stream.shutdown(Shutdown::Both)?;
            let _ = there.join();
            Ok(())
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://someone:pr0xy-pass@127.0.0.1:{}", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Gives each connection to a thread of its own; a connection that breaks is the client's matter.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// A request's head and as much body as it announces.
fn read_request(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= announced.unwrap_or(0) {
            return Ok(request);
        }
    }
}

fn bench() -> Bench {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("here", ago(Age::hours(9))));
    bench
}

fn sync(bench: &Bench, url: &str, variables: &[(&str, &str)]) -> Ran {
    let mut program = bench.program();
    program.env("AZURE_AUTHORITY_HOST", url).env("CALLVAULT_GRAPH_ENDPOINT", url);
    // Only the calls: links of other pages name the simulator as it is, which is not behind TLS.
    program.envs(variables.iter().copied()).args(["-v", "-v", "sync", "--source", "calls"]);
    finish(program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), "sync")
}

fn put(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_private_ca_is_trusted_once_it_is_named() {
    let bench = bench();
    let front = Front::before(&bench.simulator.url());
    let other = Front::before(&bench.simulator.url());
    fs::create_dir(bench.beside("certs")).unwrap();
    let file = put(&bench.beside("certs/ca.pem"), &front.ca_pem);
    let other_file = put(&bench.beside("other.pem"), &other.ca_pem);

    sync(&bench, &front.url(), &[("SSL_CERT_FILE", &other_file)])
        .ends_with(2)
        .telling("the TLS certificate of https://localhost")
        .telling("is not trusted: its issuer is not known here")
        .telling("SSL_CERT_FILE");
    assert_eq!(bench.simulator.requests().token, 0);
    let misnamed = Front::of("graph.example", &bench.simulator.url());
    let misnamed_file = put(&bench.beside("misnamed.pem"), &misnamed.ca_pem);
    sync(&bench, &misnamed.url(), &[("SSL_CERT_FILE", &misnamed_file)]).ends_with(2).telling("for another host");
    sync(&bench, &front.url(), &[("SSL_CERT_FILE", "/nowhere/ca.pem")]).ends_with(2).telling("SSL_CERT_FILE");

    sync(&bench, &front.url(), &[("SSL_CERT_FILE", &file)]).ends_with(0);
    assert_eq!(bench.run("query --count").line(), "1");
    let folder = bench.beside("certs").to_str().unwrap().to_owned();
    sync(&bench, &front.url(), &[("SSL_CERT_DIR", &folder)]).ends_with(0);
}

#[test]
fn a_proxy_is_used_for_https_and_never_for_this_machines_plain_http() {
    let bench = bench();
    let front = Front::before(&bench.simulator.url());
    let file = put(&bench.beside("ca.pem"), &front.ca_pem);
    let proxy = Proxy::start(None);
    let ran = sync(&bench, &front.url(), &[("SSL_CERT_FILE", &file), ("HTTPS_PROXY", &proxy.url())]).ends_with(0);
    assert!(proxy.asked() > 0 && !ran.stderr.contains("pr0xy-pass"), "{}", ran.stderr);
    assert_eq!(bench.run("query --count").line(), "1");

    let before = proxy.asked();
    let spared = [("SSL_CERT_FILE", file.as_str()), ("HTTPS_PROXY", &proxy.url()), ("NO_PROXY", "localhost")];
    sync(&bench, &front.url(), &spared).ends_with(0);
    let everywhere = [("HTTP_PROXY", proxy.url()), ("HTTPS_PROXY", proxy.url()), ("ALL_PROXY", proxy.url())];
    let everywhere: Vec<_> = everywhere.iter().map(|(name, url)| (*name, url.as_str())).collect();
    sync(&bench, &bench.simulator.url(), &everywhere).ends_with(0);
    assert_eq!(proxy.asked(), before);
}

#[test]
fn a_proxy_that_does_not_let_through_is_named_without_its_password() {
    let bench = bench();
    let front = Front::before(&bench.simulator.url());
    let file = put(&bench.beside("ca.pem"), &front.ca_pem);
    for refusal in ["403 Forbidden", "407 Proxy Authentication Required"] {
        let proxy = Proxy::start(Some(refusal));
        let ran = sync(&bench, &front.url(), &[("SSL_CERT_FILE", &file), ("HTTPS_PROXY", &proxy.url())])
            .ends_with(3)
            .telling(&format!("through the proxy http://127.0.0.1:{}", proxy.port))
            .telling("hint: check HTTPS_PROXY");
        assert!(!ran.stderr.contains("pr0xy-pass"), "{}", ran.stderr);
        assert_eq!(proxy.asked(), 1, "what a proxy refuses is not asked again and again");
    }
}
