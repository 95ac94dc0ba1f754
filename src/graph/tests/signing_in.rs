//! Tokens: when they are asked for, and what a refusal tells the user.

use std::io::{Seek, Write};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    graph::{
        Credential, Error,
        credential::{federated::TokenFile, managed::ManagedIdentity},
        tests::stand_in::{RECORDS, Reply, SECRET, StandIn, TOKEN},
    },
    model::{
        event::Event,
        time::{Span, Timestamp},
    },
};

const LIST: &str =
    "?$filter=startDateTime%20ge%202026-11-01T00:00:00Z%20and%20startDateTime%20lt%202026-11-01T01:00:00Z";

fn span() -> Span {
    let at = |text| Timestamp::parse(text).unwrap();
    Span::new(at("2026-11-01T00:00:00Z"), at("2026-11-01T01:00:00Z"))
}

fn empty_page() -> Reply {
    Reply::ok(r#"{"value":[]}"#)
}

#[tokio::test]
async fn one_token_serves_all_who_ask_at_once() {
    let server = StandIn::start().await;
    server.records(LIST, [empty_page()]);
    let client = server.client();
    let lists = (0..8).map(|_| client.list(span(), None));
    for page in futures_util::future::join_all(lists).await {
        assert!(page.unwrap().rows.is_empty());
    }
    assert_eq!(server.count(TOKEN), 1);
    assert_eq!(server.events(&Event::SignedIn), 1);
    assert_eq!(client.requests().requests, 8);

    let seen = server.seen();
    let asked = seen.iter().find(|seen| seen.line == TOKEN).unwrap();
    for field in ["client_id=app", "grant_type=client_credentials", "client_secret=s3cr3t%7Evalue"] {
        assert!(asked.body.contains(field), "{}", asked.body);
    }
    let scope: String = url::form_urlencoded::byte_serialize(format!("{}/.default", server.home).as_bytes()).collect();
    assert!(asked.body.contains(&format!("scope={scope}")), "{}", asked.body);
    let list = seen.iter().find(|seen| seen.line.contains(RECORDS)).unwrap();
    for (name, value) in [
        ("authorization", "Bearer token-1"),
        ("accept", "application/json"),
        ("prefer", "include-unknown-enum-members"),
        ("accept-encoding", "gzip"),
        ("user-agent", concat!("callvault/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(list.headers[name], value);
    }
    assert_eq!(list.headers["client-request-id"].len(), 36);
}

#[tokio::test]
async fn a_401_gets_one_new_token_and_no_second_one() {
    let server = StandIn::start().await;
    server.records(LIST, [Reply::refusal(401, "InvalidAuthenticationToken"), empty_page()]);
    let client = server.client();
    client.list(span(), None).await.unwrap();
    assert_eq!(server.count(TOKEN), 2);
    assert_eq!(server.seen().last().unwrap().headers["authorization"], "Bearer token-2");

    server.records(LIST, [Reply::refusal(401, "InvalidAuthenticationToken")]);
    let error = client.list(span(), None).await.unwrap_err();
    assert!(matches!(error, Error::TokenRefused { .. }) && error.is_unauthorised(), "{error}");
    assert!(error.to_string().contains("InvalidAuthenticationToken: as told (request-id h-401)"), "{error}");
    assert_eq!(server.count(TOKEN), 3);
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_replaced_before_it_does() {
    let server = StandIn::start().await;
    server.records(LIST, [empty_page()]);
    let granted = |life: &str, token: &str| Reply::ok(format!(r#"{{"expires_in":{life},"access_token":"{token}"}}"#));
    server.script(TOKEN, [granted("0", "a"), granted("\"3599\"", "b")]);
    let client = server.client();
    for _ in 0..3 {
        client.list(span(), None).await.unwrap();
    }
    assert_eq!(server.count(TOKEN), 2);
    assert_eq!(server.seen().last().unwrap().headers["authorization"], "Bearer b");
}

#[tokio::test]
async fn roles_are_told_without_a_request_to_graph() {
    let server = StandIn::start().await;
    let payload = URL_SAFE_NO_PAD.encode(r#"{"roles":["CallRecords.Read.All","User.Read.All"]}"#);
    server.script(TOKEN, [Reply::ok(format!(r#"{{"expires_in":3599,"access_token":"e30.{payload}.x"}}"#))]);
    assert_eq!(server.client().sign_in().await.unwrap(), ["CallRecords.Read.All", "User.Read.All"]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_wrong_secret_is_explained_by_its_number_and_never_shown() {
    let server = StandIn::start().await;
    let body = format!(
        r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided: {SECRET}.\r\nTrace ID: t",
            "error_codes":[7000215],"trace_id":"t-1"}}"#
    );
    server.script(TOKEN, [Reply::new(401, body)]);
    let client = server.client();
    let error = client.sign_in().await.unwrap_err();
    let Error::Unauthorised { aadsts, .. } = &error else { panic!("{error}") };
    assert_eq!(*aadsts, Some(7_000_215));
    let told = error.to_string();
    assert_eq!(error.hint().unwrap(), "set AZURE_CLIENT_SECRET to the secret's value, not its id");
    for part in ["the client secret is wrong", "AADSTS7000215", "invalid_client", "trace id t-1"] {
        assert!(told.contains(part), "{told}");
    }
    let settings = server.settings();
    for text in [told, format!("{error:?}"), format!("{settings:?}"), format!("{client:?}")] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_eq!(server.count(TOKEN), 1, "a refusal is not tried again");
}

#[tokio::test]
async fn trouble_at_the_login_host_passes() {
    let server = StandIn::start().await;
    let transient = r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#;
    server.script(
        TOKEN,
        [
            Reply::new(503, ""),
            Reply::new(400, transient),
            Reply::ok(r#"{"expires_in":3599"#),
            Reply::ok(r#"{"expires_in":3599,"access_token":"a"}"#),
        ],
    );
    assert!(server.client().sign_in().await.unwrap().is_empty());
    assert_eq!(server.waits().len(), 3);

    server.script(TOKEN, [Reply::new(503, "")]);
    let error = server.client().sign_in().await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn a_host_that_could_listen_in_is_refused_before_anything_is_sent() {
    let server = StandIn::start().await;
    let mut settings = server.settings();
    settings.login_host = url::Url::parse("http://login.microsoftonline.com").unwrap();
    let error = crate::graph::Client::new(settings, std::sync::Arc::new(())).unwrap_err();
    assert!(matches!(error, Error::Insecure { .. }), "{error}");

    let mut settings = server.settings();
    settings.tenant_id = Some("../x".into());
    let error = crate::graph::Client::new(settings, std::sync::Arc::new(())).unwrap_err();
    assert!(matches!(error, Error::Tenant { .. }), "{error}");
}

#[tokio::test]
async fn a_federated_token_is_read_from_its_file_for_each_request() {
    let server = StandIn::start().await;
    server.records(LIST, [Reply::refusal(401, "InvalidAuthenticationToken"), empty_page()]);
    server.script(
        TOKEN,
        [Reply::new(503, ""), Reply::ok(r#"{"access_token":"t1"}"#), Reply::ok(r#"{"access_token":"t2"}"#)],
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"first.token.1").unwrap();
    let mut settings = server.settings();
    settings.credential = Credential::Federated(TokenFile::open(file.path().to_owned()).unwrap());
    let client = server.client_with(settings);
    client.sign_in().await.unwrap();
    file.rewind().unwrap();
    file.write_all(b"other.token.2").unwrap();
    client.list(span(), None).await.unwrap();
    let seen = server.seen();
    let shown: Vec<_> =
        seen.iter().filter_map(|seen| seen.body.split("client_assertion=").nth(1).map(str::to_owned)).collect();
    assert_eq!(shown, ["first.token.1", "first.token.1", "other.token.2"]);
}

#[tokio::test]
async fn an_echo_of_a_credential_is_taken_out_before_anything_is_made_of_an_answer() {
    let server = StandIn::start().await;
    let long = "x".repeat(390);
    let words = format!(r#"{{"error":"invalid_client","error_description":"{long} {SECRET}"}}"#);
    // As words of a refusal, cut in its middle; as a page of somebody between; as the cause of a wait.
    server.script(TOKEN, [Reply::new(503, format!("<p>{SECRET} s3cr3t%7Evalue</p>")), Reply::new(400, words)]);
    let error = server.client().sign_in().await.unwrap_err().to_string();
    let waits = format!("{:?}", server.waits());
    assert!(error.contains(&long) && waits.contains("[secret] [secret]"), "{error} {waits}");
    assert!(!error.contains("s3cr") && !waits.contains("s3cr"), "{error} {waits}");
}

#[tokio::test]
async fn the_agent_of_azure_arc_is_shown_a_key_of_its_own_folder_and_of_no_other() {
    let server = StandIn::start().await;
    let (keys, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&keys, &elsewhere] {
        std::fs::copy(scratch(b"a2V5\n").path(), folder.path().join("one.key")).unwrap();
    }
    let resource: String = url::form_urlencoded::byte_serialize(server.home.as_bytes()).collect();
    let line = format!("GET /arc?api-version=2020-06-01&resource={resource}");
    let challenge = |path: std::path::PathBuf| {
        Reply::new(401, "{}").header("www-authenticate", format!("Basic realm={}", path.display()))
    };
    let client = || {
        let endpoint = format!("{}/arc", server.home);
        let mut settings = server.settings();
        settings.tenant_id = None;
        let identity = ManagedIdentity::arc(&endpoint, keys.path().to_owned()).unwrap();
        settings.credential = Credential::Managed(identity);
        server.client_with(settings)
    };
    let good = Reply::ok(r#"{"access_token":"t","expires_in":"3600"}"#);
    server.script(&line, [challenge(keys.path().join("one.key")), good.clone()]);
    client().sign_in().await.unwrap();
    let seen = server.seen();
    assert!(!seen[0].headers.contains_key("authorization") && seen[0].headers["metadata"] == "true");
    assert_eq!(seen[1].headers["authorization"], "Basic a2V5");

    let beside = keys.path().join("..").join(elsewhere.path().file_name().unwrap()).join("one.key");
    for path in [elsewhere.path().join("one.key"), beside, keys.path().join("one.txt"), keys.path().join("two.key")] {
        server.script(&line, [challenge(path), good.clone()]);
        let error = client().sign_in().await.unwrap_err();
        assert!(matches!(error, Error::Credential { .. }), "{error}");
    }
    assert_eq!(server.count(&line), 2 + 4);
}

fn scratch(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}
