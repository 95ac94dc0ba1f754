//! Behind a real nginx, with the configuration that the documents have: calls come in, and nobody out there learns more.
//!
//! `CALLVAULT_NEEDS_NGINX=1` makes it a failure that nginx is not installed.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use callvault::{
    model::time::Age,
    simulate::{Planted, Settings},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{
    listening::free_port,
    pages::{Service, calls_alone, get, listen, wait_until},
    support::{Bench, ago},
};

const NAME: &str = "calls.example.com";
/// Debian has it where only root's path leads.
const PLACES: [&str; 3] = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];

fn nginx() -> Option<&'static str> {
    let runs =
        |place: &&str| Command::new(place).arg("-v").stderr(Stdio::null()).status().is_ok_and(|ran| ran.success());
    PLACES.into_iter().find(runs)
}

/// An authority, and its certificate for [`NAME`] in `folder`.
fn certificate(folder: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Public CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    fs::write(folder.join("fullchain.pem"), leaf.pem()).unwrap();
    fs::write(folder.join("privkey.pem"), key.serialize_pem()).unwrap();
    ca.as_ref().pem()
}

/// The documents' file with what a test has instead: each replacement has to find its place.
fn configured(folder: &Path, port: u16, behind: u16) -> String {
    let mut text = include_str!("../../docs/deploy/nginx.conf").to_owned();
    let path = folder.display();
    for (from, to) in [
        ("listen 443 ssl;", format!("listen 127.0.0.1:{port} ssl;")),
        ("server 127.0.0.1:8460;", format!("server 127.0.0.1:{behind};")),
        ("/etc/letsencrypt/live/calls.example.com/fullchain.pem", format!("{path}/fullchain.pem")),
        ("/etc/letsencrypt/live/calls.example.com/privkey.pem", format!("{path}/privkey.pem")),
        ("/var/log/nginx/callvault.log", format!("{path}/access.log")),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, &to);
    }
    text
}

fn start(nginx: &str, folder: &Path, server: &str) -> Child {
    let path = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|of| format!("{of}_temp_path {path}/{of};\n"))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/error.log;\nevents {{}}\nhttp {{\n{temporary}{server}}}\n"
    );
    let config = folder.join("nginx.conf");
    fs::write(&config, text).unwrap();
    let mut program = Command::new(nginx);
    program.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(config);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Asks `https://NAME:port` as somebody out there; gives status and body.
fn ask(ca: &str, port: u16, method: reqwest::Method, path: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
            .resolve(NAME, ([127, 0, 0, 1], port).into())
            .no_proxy()
            .build()
            .unwrap();
        let answer = client.request(method, format!("https://{NAME}:{port}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

#[test]
fn behind_nginx_a_call_comes_in_and_nothing_is_told() {
    let Some(nginx) = nginx() else {
        assert!(
            env::var_os("CALLVAULT_NEEDS_NGINX").is_none(),
            "nginx is not installed, and CALLVAULT_NEEDS_NGINX says that it has to be"
        );
        eprintln!("nginx is not installed: nothing was tested");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ca = certificate(folder.path());
    let bench = Bench::new(Settings { notify_ca: Some(ca.clone().into_bytes()), ..calls_alone() });
    let (port, behind) = (free_port(), free_port());
    let _nginx = Service(start(nginx, folder.path(), &configured(folder.path(), port, behind)));
    let _service = listen(&bench, behind, &format!("https://{NAME}:{port}/callvault"));
    wait_until("a subscription, which Graph validates through nginx", || bench.simulator.subscriptions().len() == 1);
    wait_until("the first round's end", || {
        get(behind, "/metrics", "")
            .is_some_and(|page| page.body.contains("callvault_last_run_exit_code{command=\"sync\"}"))
    });

    // Nothing but a notification brings it within a quarter of an hour.
    bench.simulator.plant(Planted::meeting("announced", ago(Age::hours(20))));
    wait_until("the call in the archive", || bench.run("show announced").status.success());
    let deliveries = bench.simulator.deliveries();
    assert!(deliveries.accepted >= 1 && deliveries.refused == 0, "{deliveries:?}");

    let (get_it, post_it) = (reqwest::Method::GET, reqwest::Method::POST);
    for path in ["/metrics", "/healthz", "/", "/callvault/metrics", "/callvaults", "//metrics"] {
        assert_eq!(ask(&ca, port, get_it.clone(), path).0, 404, "{path}");
        assert_eq!(ask(&ca, port, post_it.clone(), path).0, 404, "{path}");
    }
    // What does not look like Graph gets no further than nginx, or no further than the receiver.
    assert_eq!(ask(&ca, port, get_it, "/callvault").0, 403);
    assert_eq!(ask(&ca, port, post_it.clone(), "/callvault").0, 400);
    let token = ask(&ca, port, post_it, "/callvault/lifecycle?validationToken=a%20token");
    assert_eq!(token, (200, "a token".to_owned()));
    let log = fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert!(log.contains("POST /callvault/lifecycle") && !log.contains("oken"), "{log}");
    // On this machine itself they are told.
    assert_eq!(get(behind, "/healthz", "").unwrap().status(), 200);
}
